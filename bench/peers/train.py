"""PyTorch's side of `npm run bench -- training --python ...`: for each line on standard input one step of full training in
float32 on random tokens, cross entropy, AdamW; prints its seconds. Arguments: a Hugging Face directory, tokens, threads."""

import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, tokens, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.01, fused=True)
ids = torch.randint(0, model.config.vocab_size, (1, tokens + 1))

for line in sys.stdin:
    start = time.perf_counter()
    logits = model(ids[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), ids[0, 1:])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    print(time.perf_counter() - start, flush=True)
