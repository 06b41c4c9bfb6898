"""Numpy reference: the model, its tokens and the exact integers that the hardware must give."""
