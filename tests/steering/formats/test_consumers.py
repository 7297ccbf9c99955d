"""What other tools do with our files: llama.cpp itself, and the readers of repeng and EasySteer.

`pip install llama-cpp-python==0.3.36` builds llama.cpp from its source, which takes minutes; it is
therefore in no extra, and the test that needs it is skipped without it.
"""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest
import torch
from gguf import GGUFReader

import workbench as wb
from workbench.models.known import KNOWN
from workbench.models.packaged import fetch
from workbench.steering.formats import FORMATS, read_vectors, write_vectors

TEXT = "The old bridge over the river was closed last winter, and now people walk to the market by"
LAYER, NORM = 11, 30.0


def directions(path):
    """What repeng's `import_gguf` and EasySteer's loader take from a file: block and values."""
    found = {}
    for tensor in GGUFReader(path).tensors:
        if tensor.name.startswith("direction."):
            found[int(tensor.name.split(".")[1])] = np.array(tensor.data)
    return found


@pytest.mark.parametrize("name", ["repeng", "easysteer"])
def test_repeng_and_easysteer_add_the_values_to_the_output_of_their_block(tmp_path, tiny, name):
    """Both put `direction.k` on the output of decoder layer k: done here as they do."""
    values = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    held = [wb.SteeringVector(values[0], 1, label="a"), wb.SteeringVector(values[1], 3, label="b")]
    path = write_vectors(held, tmp_path / f"x{FORMATS[name].suffix}")
    found = directions(path)
    assert list(found) == [0, 2]
    reader = GGUFReader(path)
    for key in ("general.architecture", "controlvector.model_hint", "controlvector.method"):
        assert reader.get_field(key) is not None
    tokens = torch.tensor([[1, 20, 30, 40]])
    hf = tiny.original_model
    with torch.no_grad(), wb.steer(tiny, [wb.Add(one) for one in held]):
        ours = tiny(tokens)

    def adding(row):
        return lambda module, args, out: (
            (out[0] + row, *out[1:]) if isinstance(out, tuple) else out + row
        )

    handles = [
        hf.model.layers[block].register_forward_hook(adding(torch.from_numpy(row)))
        for block, row in found.items()
    ]
    try:
        with torch.no_grad():
            theirs = tiny(tokens)
    finally:
        for handle in handles:
            handle.remove()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert [each.layer for each in read_vectors(path)] == [1, 3]
    assert [each.label for each in read_vectors(path)] == ["a", "b"]
    with pytest.raises(ValueError, match="before the first block"):
        write_vectors(wb.SteeringVector(values[0], 0), path)


@pytest.mark.parametrize(("layer", "said"), [(0, "before the first block"), (1, "take layer 2")])
def test_llama_cpp_cannot_change_the_first_two_layers(tmp_path, layer, said):
    path = tmp_path / "x.gguf"
    with pytest.raises(ValueError, match=said):
        write_vectors(wb.SteeringVector(torch.ones(576), layer), path)
    assert not path.exists()


class Llama:
    """llama.cpp on one text, with a control vector or without."""

    def __init__(self, path, tokens):
        self.cpp = pytest.importorskip("llama_cpp")
        self.llama = self.cpp.Llama(
            str(path), n_ctx=64, logits_all=True, n_threads=1, n_threads_batch=1, verbose=False
        )
        self.tokens = tokens

    def log_probs(self, path=None):
        """Log-probs of every next token, (pos, d_vocab), steered as a control vector file says."""
        cpp, context = self.cpp, self.llama.ctx
        n_layers = cpp.llama_model_n_layer(self.llama.model)
        width = cpp.llama_model_n_embd(self.llama.model)
        if path is None:
            assert cpp.llama_set_adapter_cvec(context, None, 0, width, 1, n_layers) == 0
        else:
            data = np.zeros((n_layers - 1, width), np.float32)  # begins with that of block 1
            for block, row in directions(path).items():
                data[block - 1] = row
            given = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            assert cpp.llama_set_adapter_cvec(context, given, data.size, width, 1, n_layers) == 0
        self.llama.reset()
        cpp.llama_memory_clear(cpp.llama_get_memory(context), True)
        self.llama.eval(self.tokens)
        scores = torch.from_numpy(np.array(self.llama.scores[: len(self.tokens)]))
        return scores.double().log_softmax(-1)


@pytest.mark.slow
@pytest.mark.embedded
def test_llama_cpp_does_with_our_file_what_our_hook_does(embedded, tmp_path, capsys):
    """The shift of all log-probs agrees at the layer, and fits worse at its neighbours."""
    pytest.importorskip("llama_cpp")
    known = KNOWN["smollm2-135m-instruct"]
    tokens = embedded.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    llama = Llama(fetch(known, progress=False), tokens)
    values = torch.randn(576, generator=torch.Generator().manual_seed(0))
    vector = wb.SteeringVector(values, LAYER).normalized(NORM)
    path = write_vectors(vector, tmp_path / "x.gguf")

    def ours(steering=()):
        with torch.no_grad(), wb.steer(embedded, steering):
            return embedded(torch.tensor([tokens]))[0].double().log_softmax(-1)

    def apart(a, b):
        """Over all log-probs: of every token's next one, and of the last one's."""
        return float((a - b).abs().mean()), float((a - b)[-1].abs().mean())

    plain, theirs_plain = ours(), llama.log_probs()
    theirs = llama.log_probs(path) - theirs_plain
    floor, moved = apart(plain, theirs_plain), apart(theirs, torch.zeros_like(theirs))
    misfit = {
        layer: apart(ours(wb.Add(wb.SteeringVector(vector.values, layer))) - plain, theirs)
        for layer in range(LAYER - 2, LAYER + 3)
    }
    with capsys.disabled():
        rows = ", ".join(f"layer {at}: {a:.3f} ({b:.3f})" for at, (a, b) in misfit.items())
        sys.stdout.write(
            f"\nllama.cpp, {len(tokens)} tokens, nats on average over all log-probs, of every "
            f"token (of the last): unsteered {floor[0]:.3f} ({floor[1]:.3f}) from ours; a vector "
            f"of norm {NORM:.0f} at layer {LAYER} moves them by {moved[0]:.3f} ({moved[1]:.3f}); "
            f"our shift is apart from that by {rows}\n"
        )
    for which in (0, 1):
        here = misfit[LAYER][which]
        assert floor[which] < 0.3
        assert here < 0.3 < 0.5 < moved[which]
        assert here < 2 * floor[which], "no further apart than without a vector, or little"
        assert all(here < 0.6 * misfit[other][which] for other in misfit if other != LAYER)
    assert torch.equal(llama.log_probs(), theirs_plain), "and it can be taken off again"
