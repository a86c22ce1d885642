"""Fine-tuning: teach a MiniCPM-V a task from your own pictures and conversations."""
