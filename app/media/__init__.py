"""Images and videos on their way to the model: read, checked, cut to slices. No torch and no gradio in here."""
