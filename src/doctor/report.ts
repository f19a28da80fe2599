/**
 * What `netwatch doctor` finds, as data: the shape of `-o json`, which other programs may rely on.
 * Fields are added, never renamed or removed. Null: not known, or there is none.
 */

/** What keeps something from working. */
export interface Problem {
  readonly reason: string;
  /** `environment`: this machine can be fixed; `kernel`: it takes another kernel. */
  readonly fault: 'environment' | 'kernel';
  /** What would fix it. */
  readonly fix: string | null;
}

export interface Facts {
  readonly kernel: { readonly release: string; readonly architecture: string };
  readonly node: { readonly version: string };
  readonly btf: { readonly path: string; readonly bytes: number | null };
  readonly tracefs: { readonly path: string | null; readonly readable: boolean };
  readonly cgroup2: { readonly path: string | null };
  readonly capabilities: {
    readonly uid: number;
    /** The effective ones that netwatch has a use for. */
    readonly held: readonly string[];
    readonly missing: readonly {
      readonly name: string;
      readonly purpose: string;
      readonly essential: boolean;
    }[];
  };
  /** `none`, `integrity`, `confidentiality`. */
  readonly lockdown: string | null;
  /** Sysctl kernel.unprivileged_bpf_disabled. */
  readonly unprivilegedBpfDisabled: number | null;
  readonly memlock: {
    /** Soft limit; null: unlimited. */
    readonly limitBytes: number | null;
    /** Before Linux 5.11 maps count against it. */
    readonly matters: boolean | null;
  };
  readonly libbpf: { readonly version: string | null; readonly path: string | null };
  readonly ringBuffer: boolean | null;
  readonly kprobes: boolean;
  readonly fentry: { readonly possible: boolean | null; readonly reason: string | null };
  /** Sysctl net.core.bpf_jit_enable; null also where it is always on. */
  readonly jit: number | null;
  /** Sysctl kernel.bpf_stats_enabled. */
  readonly bpfStats: number | null;
  readonly data: {
    readonly directory: string;
    /** Why it cannot be written. */
    readonly reason: string | null;
    /** A collector that runs there. */
    readonly collectorPid: number | null;
  };
}

export interface ProgramFinding {
  readonly program: string;
  /** `tp_btf`, `tracepoint`, `cgroup_skb`, `iter`. */
  readonly attachType: string;
  readonly hook: string;
  /** False for one that stands in where something is missing which is not missing here. */
  readonly wanted: boolean;
  /** Null: not tried. */
  readonly attached: boolean | null;
  readonly reason: string | null;
  readonly problem: Problem | null;
  readonly gives: string;
  /** The Linux that brought it, as far back as netwatch runs. */
  readonly since: string;
  /** Options that suffer without it, besides those that ask for it. */
  readonly options: readonly string[];
}

/** A part of the kernel that is no hook, or a right. */
export interface FeatureFinding {
  readonly needs: string;
  readonly problem: Problem | null;
  readonly gives: string;
  readonly since: string;
  /** Options that suffer without it; empty: every run does. */
  readonly options: readonly string[];
}

export interface SourceFinding {
  readonly source: string;
  readonly programs: readonly ProgramFinding[];
  readonly features: readonly FeatureFinding[];
}

export interface Loss {
  /** Completes "works without …". */
  readonly what: string;
  readonly problem: Problem;
}

export interface Verdict {
  /** `works`; `degraded`: works without some things; `cannot`. */
  readonly verdict: 'works' | 'degraded' | 'cannot';
  readonly without: readonly Loss[];
  /** Why it cannot. */
  readonly problem: Problem | null;
  /** Everything that would make it better, each once. */
  readonly fix: readonly string[];
}

export interface FlagVerdict extends Verdict {
  /** As help shows it: `-t, --time`. */
  readonly flag: string;
}

export interface ToolVerdict extends Verdict {
  /** `netwatch` is the collector without options. */
  readonly tool: string;
}

export interface Report {
  readonly facts: Facts;
  readonly sources: readonly SourceFinding[];
  readonly flags: readonly FlagVerdict[];
  readonly tools: readonly ToolVerdict[];
  /**
   * 0: all works, or as far as this kernel allows; 3: something does not that this machine could be
   * given; 4: this kernel lacks what no run can do without.
   */
  readonly exitCode: 0 | 3 | 4;
}
