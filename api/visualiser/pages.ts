/**
 * The console's own files: one page, its modules and styles, and the template library. They hold no data, so they need no
 * token; everything that they show comes from the API with the token of whoever signed in.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import express, { Router, type Response } from 'express';
import { Problem } from '../problem.ts';

const files = fileURLToPath(new URL('./page/', import.meta.url));

/** Folder of a package that is served to browsers as it is. */
function packageFolder(name: string): string {
  const entry = createRequire(import.meta.url).resolve(name);
  const at = entry.lastIndexOf(`/${name}/`);
  return entry.slice(0, at + name.length + 2);
}

/** @param opened is called whenever somebody opens the console */
export function visualiserPages(opened: () => void): Router {
  const router = Router();
  router.use((_request, response, next) => {
    response.set({
      'Content-Security-Policy':
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
      'Cache-Control': 'no-cache',
    });
    next();
  });
  const asModule = (response: Response, path: string): void => {
    if (path.endsWith('.mjs')) response.type('text/javascript');
  };
  const options = { index: false, redirect: false, dotfiles: 'ignore', cacheControl: false, etag: true } as const;
  router.use('/lib/lit-html', express.static(packageFolder('lit-html'), { ...options, extensions: [] }));
  router.use('/assets', express.static(files, { ...options, setHeaders: asModule }));
  router.use(['/lib', '/assets'], (request, _response, next) => {
    next(new Problem('not-found', `there is no file ${request.path.slice(0, 200)}`));
  });
  // Every other address is a view of the one page, so that each can be linked to.
  router.use((request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      next(new Problem('method-not-allowed', 'pages are read only', { allow: ['GET', 'HEAD'] }));
    else {
      opened();
      // Against a root: an installation may stand under a folder whose name begins with a dot.
      response.sendFile('index.html', { root: files, cacheControl: false });
    }
  });
  return router;
}
