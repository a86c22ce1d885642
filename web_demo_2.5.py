"""MiniCPM-Llama3-V 2.5 in the browser; `--help` lists the flags."""

from __future__ import annotations

from app.cli import main

if __name__ == "__main__":
    raise SystemExit(main(default_model="openbmb/MiniCPM-Llama3-V-2_5", default_port=8080))
