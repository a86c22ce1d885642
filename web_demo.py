"""MiniCPM-V 2.0 in the browser; `--help` lists the flags."""

from __future__ import annotations

from app.cli import main

if __name__ == "__main__":
    raise SystemExit(main(default_model="openbmb/MiniCPM-V-2", default_port=8080))
