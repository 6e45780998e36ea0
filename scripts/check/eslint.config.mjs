// Rules that the compiler does not have. Paths are relative to the root: eslint --config scripts/check/eslint.config.mjs .
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';

const root = fileURLToPath(new URL('../..', import.meta.url));

const systemOnly = 'comes from the injected System (runtime/ports.ts), so that tests and simulations own it';
const time = [
  { object: 'Date', property: 'now', message: `The clock ${systemOnly}.` },
  { object: 'performance', property: 'now', message: `The clock ${systemOnly}.` },
  { object: 'Math', property: 'random', message: `Chance ${systemOnly}.` },
  { object: 'crypto', property: 'randomUUID', message: `Chance ${systemOnly}.` },
];
const timers = ['setTimeout', 'setInterval', 'setImmediate'].map((name) => ({
  name,
  message: `Waiting ${systemOnly}.`,
}));
const emptyCatch = {
  selector: 'CatchClause > BlockStatement[body.length=0]',
  message: 'An empty catch swallows the error: return or log what it means, and say why that is right.',
};
const bareDate = {
  selector: 'NewExpression[callee.name="Date"][arguments.length=0]',
  message: `The clock ${systemOnly}.`,
};
const emptyRejection = {
  selector: 'CallExpression[callee.property.name="catch"] > ArrowFunctionExpression > BlockStatement[body.length=0]',
  message: 'An empty catch swallows the error: return undefined on purpose, or log it.',
};

export default tseslint.config(
  { ignores: ['node_modules/**', '.build/**', '.data/**', '.cache/**', 'tests/bench/peer/**'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { project: `${root}tsconfig.json`, tsconfigRootDir: root } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: true }],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: true },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      '@typescript-eslint/no-base-to-string': 'error',
      '@typescript-eslint/ban-ts-comment': 'error',
      'no-empty': ['error', { allowEmptyCatch: false }],
      'no-console': 'error',
      'no-restricted-properties': ['error', ...time],
      'no-restricted-globals': ['error', ...timers],
      'no-restricted-imports': [
        'error',
        { paths: ['timers', 'node:timers', 'timers/promises', 'node:timers/promises'] },
      ],
      'no-restricted-syntax': ['error', emptyCatch, emptyRejection, bareDate],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-control-regex': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  {
    // The clock itself, the child processes of the embedded servers, and what runs outside the product.
    files: ['runtime/host/system.ts', 'runtime/embedded/**', 'tests/**', 'scripts/**'],
    rules: {
      'no-restricted-properties': 'off',
      'no-restricted-globals': 'off',
      'no-restricted-imports': 'off',
      'no-restricted-syntax': ['error', emptyCatch, emptyRejection],
    },
  },
  {
    files: ['tests/**', 'scripts/**'],
    rules: { 'no-console': 'off' },
  },
);
