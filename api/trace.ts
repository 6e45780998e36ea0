/**
 * W3C trace context of requests. A request goes on with the trace that it names, or begins one, so that every task can be
 * followed from the client through the streams to its agent and back. Where the process has an OpenTelemetry SDK, each
 * request is a span of it; without one nothing is recorded and the context still travels.
 */
import { createHash } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  isSpanContextValid,
  trace,
  type SpanContext,
} from '@opentelemetry/api';
import type { System } from '../runtime/ports.ts';

const contexts = new WeakMap<object, SpanContext>();
const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The context that a `traceparent` header states, or undefined when it states none. */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const [, version = 'ff', traceId = '', spanId = '', flags = '', more] = form.exec(text ?? '') ?? [];
  // Later versions may add members; this one has none, and `ff` is no version.
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return isSpanContextValid(context) ? context : undefined;
}

export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** Gives each request its trace context; the answer names it in the header `traceparent`. */
export function tracing(system: System): RequestHandler {
  const tracer = trace.getTracer('orchestrator');
  return (request, response, next) => {
    const parent = parseTraceparent(request.get('traceparent'));
    const span = tracer.startSpan(
      request.method,
      { kind: SpanKind.SERVER, attributes: { 'http.request.method': request.method, 'url.path': request.path } },
      parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT,
    );
    const made = span.spanContext();
    const context = isSpanContextValid(made) ? made : begun(system);
    contexts.set(request, context);
    response.set('traceparent', formatTraceparent(context));
    response.once('close', () => {
      span.setAttribute('http.response.status_code', response.statusCode);
      if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    next();
  };
}

/** What a command carries. */
export function traceOf(request: Request): { traceparent?: string } {
  const context = contexts.get(request);
  return context ? { traceparent: formatTraceparent(context) } : {};
}

/** What a line of the log names. */
export function traceIdOf(request: object): { trace?: string } {
  const context = contexts.get(request);
  return context ? { trace: context.traceId } : {};
}

/** Marked as sampled: whoever has a tracer further on may record it. */
function begun(system: System): SpanContext {
  const digits = createHash('sha256').update(system.token()).digest('hex');
  return { traceId: digits.slice(0, 32), spanId: digits.slice(32, 48), traceFlags: TraceFlags.SAMPLED };
}
