"""A kernel's interrupt stops what a panel does in its threads, and leaves nothing on the model."""

import pytest

from tests.conftest import TL3, make_tokenizer, tiny_hf

pytest.importorskip("ipywidgets")
pytest.importorskip("anywidget")

SETUP = """\
import time
import workbench as wb
from workbench.explorer import steer_tab
from workbench.models.plain import plain_of

def slow(*args, stream=steer_tab.stream, **options):
    for token in stream(*args, **options):
        time.sleep(0.1)
        yield token

steer_tab.stream = slow
model = wb.load_model("tiny")

def hooks():
    parts = [*model.original_model.modules(), *plain_of(model).hf_model.modules()]
    return [(list(part._forward_hooks), list(part._forward_pre_hooks)) for part in parts]

before = hooks()  # a bridge has some of its own
panel = wb.explore(model, prompts="w1 w2")"""
START = 'panel.steer.controls["tokens"].value = 100\npanel.steer.generate.click()'
AFTER = """\
assert panel.ground.long.wait(5), "it went on"
print(panel.steer.status.value)
assert panel.ground.quick.wait(20)
assert hooks() == before
panel.steer.controls["tokens"].value = 2
panel.steer.generate.click()
assert panel.ground.long.wait(20) and panel.ground.quick.wait(20)
print(panel.steer.status.value)"""


def run(client, code):
    """What a cell prints; its error is raised."""
    printed = []

    def heard(message):
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            printed.append(content["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=heard)["content"]
    assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
    return "".join(printed)


@pytest.mark.slow
@pytest.mark.skipif(TL3, reason="loads a bridge")
def test_an_interrupt_stops_the_panel_and_nothing_else(tmp_path):
    manager = pytest.importorskip("jupyter_client.manager")
    tiny_hf("llama").save_pretrained(tmp_path / "tiny")
    make_tokenizer(tmp_path / "tiny", bos=True)
    kernel, client = manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        run(client, SETUP)
        run(client, "time.sleep(0.5)")
        run(client, START)
        run(client, 'while "tokens" not in panel.steer.status.value: time.sleep(0.01)')
        assert run(client, "import signal; print(panel.ground.long._running is not None)") == (
            "True\n"
        )
        kernel.interrupt_kernel()
        stopped, done = run(client, AFTER).splitlines()
        assert stopped.startswith("stopped after")
        assert done == "done"
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
