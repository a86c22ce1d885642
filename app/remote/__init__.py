"""Other engines behind the OpenAI protocol: what each of them takes, and how it is asked."""
