"""The model behind the OpenAI protocol, for programs."""
