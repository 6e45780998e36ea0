/** The one fleet actor of a site: it lives in shard 0 and is born by the first agent. */
import { address } from '../../runtime/protocol/ids.ts';

export const fleetAddress = address('fleet', 'f-0-site');
