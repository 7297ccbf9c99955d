"""The page says what was compared, and nothing that was not measured."""

import re

from tests.experiments.compare.conftest import SETTINGS
from tests.experiments.compare.test_program import MAKERS
from workbench.experiments.compare import compare
from workbench.experiments.compare.page import comparison_page


def test_the_page(task):
    page = comparison_page(compare(task, SETTINGS, MAKERS, progress=False), "tiny <b>").to_html()
    words = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert page.count("<figure") == 1
    assert "Ways of making a steering vector, 2 in all" in words
    assert "there are no letters" in words
    assert "tiny &lt;b&gt;" in words
    assert not re.search(
        r"\bnan\b", re.sub(r"<details.*?</details>", "", words, flags=re.DOTALL).lower()
    )
