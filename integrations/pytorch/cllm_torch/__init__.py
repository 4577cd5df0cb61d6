"""Trains on GPUs what `cllm collect` wrote: the same packs, objectives and seeds as `cllm train`, with PyTorch."""
