"""A web application to chat with the MiniCPM-V family of vision-language models."""
