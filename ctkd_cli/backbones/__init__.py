"""Backbones: who learns. Hugging Face models, students cut from them, small networks."""
