"""LiteLLM."""

from benchmarks.gateway.peers.peer import PROVIDER_MODEL, Peer


class LiteLlm(Peer):
    """The LiteLLM proxy with one worker and two deployments of one model."""

    name = "LiteLLM"
    note = "split 50/50, no log (it needs a PostgreSQL of its own)"

    def start(self) -> None:
        """Start the proxy."""
        program = self._tool("litellm", "litellm")
        there = f"http://127.0.0.1:{self.provider_port}/v1"
        deployments = "".join(
            f"""
- model_name: m
  litellm_params: {{model: openai/{PROVIDER_MODEL}, api_base: "{there}", api_key: bench, weight: 1}}
  model_info: {{id: {arm}}}"""
            for arm in ("stable", "candidate")
        )
        permit = "general_settings: {dangerously_permit_weak_or_unset_master_key: true}"
        (self.folder / "litellm.yaml").write_text(f"model_list:{deployments}\n{permit}\n")
        self._run(
            program, "--config", self.folder / "litellm.yaml", "--host", "127.0.0.1", "--port", str(self.port),
            "--num_workers", "1", "--telemetry", "False",
            LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR", NO_DOCS="True",
        )  # fmt: skip
