"""nginx."""

import shutil

from benchmarks.gateway.peers.peer import IDLE_SECONDS, Peer
from benchmarks.gateway.processes import NotAvailableError


class Nginx(Peer):
    """nginx with one worker, split by the user's header, keep-alive to the provider."""

    name = "nginx"
    note = "split 50/50, no log"

    def start(self) -> None:
        """Write a configuration that keeps everything in the benchmark's folder, and start it."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise NotAvailableError("not installed; apt-get install nginx-light")
        temporary = "\n".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        upstreams = "\n".join(
            f"upstream {arm} {{ server 127.0.0.1:{self.provider_port}; keepalive 64; }}"
            for arm in ("stable", "candidate")
        )
        (self.folder / "nginx.conf").write_text(
            f"""daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout {IDLE_SECONDS};
  client_max_body_size 16m; client_body_buffer_size 1m; {temporary}
  {upstreams}
  split_clients $request_id $arm {{ 50% candidate; * stable; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ proxy_pass http://$arm; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
        )
        self._run(program, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log")
