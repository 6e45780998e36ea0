// The limit of the medium: three hops over streams and consumer groups, and nothing else. A task goes to a dispatcher, from
// it to an agent, and its result back to the dispatcher: XADD, XREADGROUP and XACK at each hop, in batches, pipelined.
import { Redis } from 'ioredis';

const read = (redis, group, stream, count) =>
  redis.xreadgroup('GROUP', group, 'one', 'COUNT', count, 'BLOCK', 1_000, 'STREAMS', stream, '>');

export async function open({ redisUrl, handler, done, works }) {
  const [producer, dispatcher, agent] = [0, 1, 2].map(() => new Redis(redisUrl, { maxRetriesPerRequest: null }));
  const streams = ['raw:commands', 'raw:inbox', 'raw:outbox'];
  let closing = false;
  const hop = async (redis, from, take) => {
    while (!closing) {
      const answer = await read(redis, 'group', from, 500);
      const entries = answer?.[0]?.[1] ?? [];
      if (entries.length === 0) continue;
      const pipeline = redis.pipeline();
      await take(pipeline, entries);
      pipeline.xack(from, 'group', ...entries.map(([id]) => id));
      pipeline.xdel(from, ...entries.map(([id]) => id));
      await pipeline.exec();
    }
  };
  for (const stream of streams)
    await producer.xgroup('CREATE', stream, 'group', '0', 'MKSTREAM').catch(() => undefined);
  const collector = dispatcher.duplicate();
  const ended = (error) => {
    if (!closing) throw error;
  };
  if (works) {
    hop(dispatcher, streams[0], (pipeline, entries) => {
      for (const [, fields] of entries) pipeline.xadd(streams[1], '*', ...fields);
    }).catch(ended);
    hop(agent, streams[1], async (pipeline, entries) => {
      for (const [, [, text]] of entries) {
        await handler(JSON.parse(text));
        pipeline.xadd(streams[2], '*', 'result', '{"ok":1}');
      }
    }).catch(ended);
    hop(collector, streams[2], (_pipeline, entries) => done(entries.length)).catch(ended);
  }
  return {
    addMany: (items) => {
      const pipeline = producer.pipeline();
      for (const item of items) pipeline.xadd(streams[0], '*', 'task', JSON.stringify(item));
      return pipeline.exec();
    },
    addOne: (item) => producer.xadd(streams[0], '*', 'task', JSON.stringify(item)),
    left: async () => {
      const lengths = await Promise.all(streams.map((stream) => producer.xlen(stream)));
      return lengths.reduce((sum, length) => sum + length, 0);
    },
    close: async () => {
      closing = true;
      for (const redis of [producer, dispatcher, agent, collector]) redis.disconnect();
    },
  };
}
