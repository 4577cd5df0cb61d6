"""Makes the weights that the peers read, all from one GGUF file dequantized to float32:

    OUT/config.json, model.safetensors, tokenizer.json, ...   a Hugging Face directory, float32: cllm
    OUT/onnx/model.onnx, OUT/onnx/model_q4.onnx               ONNX as published for transformers.js: fp32, q4
    OUT/model.Q8_0.gguf                                       every matrix in Q8_0: llama.cpp
    OUT/source.gguf                                           the file itself: llama.cpp, and cllm in its own blocks
    OUT/prepared.json                                         what they were made from, and with

The ONNX files follow the conversion of transformers.js: Optimum's export with past keys and values, slimmed by
onnxslim; q4 is ONNX Runtime's MatMulNBits quantizer with blocks of 32, symmetric, accuracy level left at its default.
Nothing is fetched from a network.
"""

import argparse
import importlib.metadata
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxslim  # noqa: E402
import torch  # noqa: E402
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, quants  # noqa: E402
from onnxruntime.quantization.matmul_nbits_quantizer import (  # noqa: E402
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)
from optimum.exporters.onnx import main_export  # noqa: E402
from tokenizers import decoders, pre_tokenizers, processors  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast  # noqa: E402


def metadata(reader: GGUFReader, key: str):
    """The value of one metadata key, None where the file has none."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


def write_hugging_face(gguf: Path, out: Path, dtype: torch.dtype) -> None:
    """Write the GGUF's model as a Hugging Face directory in `dtype`."""
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model.to(dtype).save_pretrained(out)

    reader = GGUFReader(gguf)
    backend = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).backend_tokenizer
    if metadata(reader, "tokenizer.ggml.pre") == "smollm":  # digits stand alone, which the GGUF import leaves out
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    if metadata(reader, "tokenizer.ggml.model") == "gpt2":
        backend.decoder = decoders.ByteLevel()  # and not SentencePiece's before it
    if not metadata(reader, "tokenizer.ggml.add_bos_token"):
        backend.post_processor = processors.ByteLevel(trim_offsets=True)  # adds no token
    tokens = metadata(reader, "tokenizer.ggml.tokens")
    special = {
        name: tokens[metadata(reader, f"tokenizer.ggml.{key}_token_id")]
        for name, key in [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")]
        if metadata(reader, f"tokenizer.ggml.{key}_token_id") is not None
    }
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **special)
    tokenizer.chat_template = metadata(reader, "tokenizer.chat_template")
    tokenizer.model_max_length = model.config.max_position_embeddings
    # transformers.js reads the template from this file, not from chat_template.jinja beside it.
    tokenizer.save_pretrained(out, save_jinja_files=False)


def write_onnx(hugging_face: Path, out: Path) -> None:
    """Export the directory's model to `out/model.onnx` and quantize it to `out/model_q4.onnx`."""
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        # Without post-processing the head keeps a constant of its own, as in the published files (654 and 200 MB for
        # SmolLM2-135M); tied to the embeddings by a Transpose, the quantizer would leave it in float32.
        main_export(
            str(hugging_face),
            output=scratch,
            task="text-generation-with-past",
            do_validation=False,
            no_post_process=True,
        )
        onnx.save(onnxslim.slim(str(Path(scratch) / "model.onnx")), str(out / "model.onnx"))

    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, accuracy_level=None)
    quantizer = MatMulNBitsQuantizer(onnx.load(str(out / "model.onnx")), algo_config=config)
    quantizer.process()
    onnx.save(quantizer.model.model, str(out / "model_q4.onnx"))


def write_gguf(source: Path, out: Path, kind: GGMLQuantizationType, file_type: LlamaFileType) -> None:
    """Copy a GGUF file with every matrix in `kind`; vectors stay as they are."""
    reader = GGUFReader(source)
    writer = GGUFWriter(out, metadata(reader, "general.architecture"))
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue  # the writer's own
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(file_type)
    for tensor in reader.tensors:
        values = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if values.ndim < 2:
            writer.add_tensor(tensor.name, values)
        else:
            writer.add_tensor(tensor.name, quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, help="the GGUF file that all weights are made from")
    parser.add_argument("out", type=Path, help="folder to write; made if it is not there, about 1.5 GB for 135M parameters")
    args = parser.parse_args()
    if not args.gguf.is_file():
        sys.exit(f"{args.gguf} is not a file: name the GGUF file to start from.")
    args.out.mkdir(parents=True, exist_ok=True)

    logging.disable(logging.INFO)  # the quantizer tells of every node
    print("Hugging Face directory, float32", flush=True)
    write_hugging_face(args.gguf, args.out, torch.float32)
    print("ONNX, fp32 and q4", flush=True)
    write_onnx(args.out, args.out / "onnx")
    print("GGUF, Q8_0", flush=True)
    write_gguf(args.gguf, args.out / "model.Q8_0.gguf", GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0)
    shutil.copyfile(args.gguf, args.out / "source.gguf")
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "optimum-onnx", "onnxruntime")}
    prepared = {"model": args.gguf.stem, "versions": versions}
    (args.out / "prepared.json").write_text(json.dumps(prepared, indent=2) + "\n")
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    print(f"{args.out}: {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
