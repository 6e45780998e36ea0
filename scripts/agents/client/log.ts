/** The part of a pino logger that an agent uses. */
export interface AgentLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => undefined;

export const silent: AgentLog = { debug: nothing, info: nothing, warn: nothing, error: nothing };
