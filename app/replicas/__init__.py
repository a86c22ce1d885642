"""Several copies of the model behind one address: the engine and the OpenAI endpoint as a Ray Serve application."""
