// What a reviewer would otherwise have to look for: promises left alone, switches that forget a case.
// Who may import whom is in test/meta.test.ts.
import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['build/', '.tap/', '.cache/', 'data/', 'src/generated/'] },
  js.configs.recommended,
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          ...[
            'console',
            'process',
            'Buffer',
            'URL',
            'AbortController',
            'AbortSignal',
            'performance',
          ],
          ...['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate'],
          ...['fetch', 'queueMicrotask', 'structuredClone', 'TextDecoder', 'TextEncoder'],
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.test.json' } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // `!` states what the type checker cannot see; the hot paths need it with noUncheckedIndexedAccess.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: true },
      ],
      eqeqeq: ['error', 'always'],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ExportDefaultDeclaration',
          message: 'no default exports, except a tool’s definition',
        },
      ],
    },
  },
  {
    // The page runs in a browser: types of the DOM, none of Node.js.
    files: ['src/page/**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.page.json' } },
  },
  { files: ['src/**/*.ts'], rules: { 'no-console': 'error' } },
  {
    // A command is its file's default export.
    files: ['src/tools/*.ts', 'src/*/command.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // tap runs its subtests in order and waits for them by itself.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: '@tapjs/core', name: ['test', 'skip', 'todo'] },
            { from: 'package', package: '@tapjs/test', name: ['test', 'skip', 'todo'] },
          ],
        },
      ],
      // A test may be async only for its form, and may assert on what the types rule out.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unnecessary-condition': 'off',
    },
  },
);
