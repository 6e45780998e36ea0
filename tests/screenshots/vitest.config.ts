/** `npm run screenshots`: as the tests run, over the pictures alone. */
import { defineConfig } from 'vitest/config';
import tests from '../vitest.config.ts';

export default defineConfig({ ...tests, test: { ...tests.test, include: ['tests/screenshots/*.shots.ts'] } });
