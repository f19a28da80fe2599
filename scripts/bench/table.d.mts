export interface Hook {
  readonly program: string;
  readonly runsPerPacket: number;
  readonly ours: number;
  readonly twin: number;
}
export interface ToolCost {
  readonly tool: string;
  readonly perConnection: number;
  readonly perRoundTrip: number;
}
export interface Row {
  readonly id: string;
  readonly value: number | null;
  readonly detail: string;
  readonly refused?: string;
  readonly hooks?: readonly Hook[];
  readonly tools?: readonly ToolCost[];
}
export interface Machine {
  readonly date: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly node: string;
  readonly busy: number;
}
export function number(value: number): string;
export function verdict(row: Row): string;
export function render(machine: Machine, rows: readonly Row[]): string;
