"""`python -m agent --portal URL --token-file F`: the agent of a GPU node; with `--sandbox DIR`, of a pretended one."""

from __future__ import annotations

import sys

from agent.options import AgentOptions, parse
from agent.parent import log_to_stderr


def run_part(options: AgentOptions) -> int:
    """One of the three processes below the supervisor."""
    from agent import keeper, nvml, sampler, worker  # the supervisor needs none of it and stays small

    nvml.use_library(options.nvml_library)
    parts = {"keeper": keeper.run, "sampler": sampler.run, "worker": worker.run}
    return parts[options.part or ""](options)


def main() -> int:
    """The supervisor, or the part that the supervisor asked for."""
    options = parse(sys.argv[1:])
    log_to_stderr(options.part or "agent")
    if options.part:
        return run_part(options)
    from agent import join, supervisor

    if options.join_token_file and not options.token_file.exists():
        words = ["--portal", options.portal, "--join-token-file", str(options.join_token_file)]
        if status := join.main([*words, "--token-file", str(options.token_file)]):
            return status
    return supervisor.run(options)


if __name__ == "__main__":
    sys.exit(main())
