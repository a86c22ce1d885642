"""Native MiniCPM-V models. Importing this package registers them with the Auto classes of transformers.

    import app.modeling
    model = AutoModel.from_pretrained("openbmb/MiniCPM-V-2_6")

This door is the one place that looks up to `app.families`: what is registered is the list of families.
"""

from app.families import all_families
from app.modeling.auto import register

register(all_families())
