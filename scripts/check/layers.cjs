// Who may import whom: api -> actors -> runtime, and inside runtime host -> core <- ports <- redis | postgres | memory.
// A rule names what a layer may import; everything else in the repository is forbidden to it.

const limits = '^config/limits\\.ts$';
const protocol = '^runtime/protocol/';
const core = '^runtime/core/';
const ports = '^runtime/(?:ports|readmodel)\\.ts$';
/** Event schemas and ids of actors: what a caller of an actor has to know, and no machine. */
const actorContracts =
  '^actors/.*(?:events|reports|address|schema|status|access|view|account|demand|reasons|waiting|context)\\.ts$';

const ours = '^(?:runtime|actors|api|config|scripts|tests|deploy)/';

function only(name, from, allowed, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from },
    to: { path: ours, pathNot: [from, ...allowed] },
  };
}

function without(name, from, dependency, comment) {
  return { name, comment, severity: 'error', from, to: dependency };
}

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Cut the circle: move what both need below both.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-missing',
      comment:
        'The import leads nowhere. Pages import by the address under which the server has the file, in one place.',
      severity: 'error',
      from: { pathNot: '^api/visualiser/page/lib\\.mjs$' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-undeclared',
      comment: 'Declare the package in package.json.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-development-package-in-the-product',
      comment: 'Move the package to dependencies, or the import to tests.',
      severity: 'error',
      from: { path: '^(?:runtime|actors|api|config)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: 'node_modules/@types/' },
    },
    only('protocol-stands-alone', protocol, [limits], 'runtime/protocol imports the schema library and limits only.'),
    without(
      'protocol-packages',
      { path: protocol },
      { path: 'node_modules/', pathNot: 'node_modules/zod/' },
      'runtime/protocol imports the schema library only.',
    ),
    only('core-is-pure', core, [protocol, limits], 'runtime/core imports protocol and limits only.'),
    without('core-without-node', { path: `${core}|${ports}` }, { dependencyTypes: ['core'] }, 'The core does no I/O.'),
    without(
      'core-packages',
      { path: core },
      { path: 'node_modules/', pathNot: 'node_modules/(?:xstate|zod)/' },
      'runtime/core imports xstate and the schema library only.',
    ),
    only('ports-are-types', ports, [protocol, core], 'runtime/ports.ts imports protocol and core only.'),
    only(
      'redis-adapter',
      '^runtime/redis/',
      [protocol, core, ports, limits],
      'An adapter imports ports, not the host.',
    ),
    only(
      'postgres-adapter',
      '^runtime/postgres/',
      [protocol, core, ports, limits],
      'An adapter imports ports, not the host.',
    ),
    only('etcd-adapter', '^runtime/etcd/', [protocol, ports, limits], 'An adapter imports ports, not the host.'),
    only(
      'memory-adapter',
      '^runtime/memory/',
      [protocol, core, ports, limits],
      'An adapter imports ports, not the host.',
    ),
    only(
      'host-knows-no-adapter',
      '^runtime/host/',
      [protocol, core, ports, limits],
      'The host is written against ports.',
    ),
    only(
      'embedded-stands-alone',
      '^runtime/embedded/',
      [limits],
      'Embedded servers know nothing of what runs on them.',
    ),
    only(
      'actors-above-core',
      '^actors/',
      [protocol, core, ports, limits, '^config/nearest\\.ts$'],
      'Actors import protocol, core and ports types.',
    ),
    without('actors-do-no-io', { path: '^actors/' }, { dependencyTypes: ['core'] }, 'Actors decide; effects act.'),
    without(
      'actors-packages',
      { path: '^actors/' },
      { path: 'node_modules/', pathNot: 'node_modules/(?:xstate|zod|croner)/' },
      'Actors import xstate, the schema library and the cron library only.',
    ),
    {
      name: 'croner-in-one-place',
      comment: 'Its clock and its timers are not ours: one file asks it for the next time after a given one.',
      severity: 'error',
      from: { path: ours, pathNot: ['^actors/schedule/pattern\\.ts$', '^tests/'] },
      to: { path: 'node_modules/croner/' },
    },
    {
      name: 'actors-know-ports-as-types',
      comment: 'Import type only: an actor calls nothing.',
      severity: 'error',
      from: { path: '^actors/' },
      to: { path: ports, dependencyTypesNot: ['type-only'] },
    },
    only(
      'api-knows-contracts',
      '^api/',
      [actorContracts, protocol, ports, limits, '^config/'],
      'The API knows event schemas and ports, not machines or the host.',
    ),
    only('config-stands-alone', '^config/', [protocol], 'Configuration imports no layer.'),
    {
      name: 'xstate-in-core-and-machines',
      comment: 'xstate is known to runtime/core and actors only: the next major version renames much of it.',
      severity: 'error',
      from: { path: ours, pathNot: ['^runtime/core/', '^actors/', '^tests/', '^scripts/generate/'] },
      to: { path: 'node_modules/xstate/' },
    },
    {
      name: 'nobody-imports-roots',
      comment: 'Composition roots, scripts and tests are not imported by the product.',
      severity: 'error',
      from: { path: '^(?:runtime|actors|api|config)/' },
      to: { path: '^(?:scripts|tests)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['\\.build', 'tests/bench/peer'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    combinedDependencies: false,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
