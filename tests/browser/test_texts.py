"""The panel of texts: what the Transformers do, part by part."""

import re
from urllib.parse import parse_qs

import pytest
import torch
from playwright.sync_api import Page, expect

from models.generation.sampling import Candidates, Temperature, TopK, TopP
from tests.browser.conftest import Visit

PERCENT = re.compile(r"(\d+\.\d)%")


def open_part(visit: Visit, part: str, query: str = "") -> Page:
    visit.open(f"texts?part={part}{query}")
    return visit.page


def percents(page: Page) -> list[float]:
    """What the bars of the next token say, in percent."""
    rows = page.get_by_role("group", name="Next token").get_by_role("button").all_inner_texts()
    return [float(found[1]) for row in rows if (found := PERCENT.search(row))]


def test_guesses_are_put_into_the_text(visit: Visit) -> None:
    page = open_part(visit, "masks")
    text = page.get_by_label("Text", exact=True)
    page.get_by_role("group", name="Mask 1").get_by_role("button", name=re.compile("^door")).click()
    expect(text).to_have_value("She opened the door and went into the [MASK].")
    expect(page.get_by_role("group", name="Mask 2")).to_have_count(0)
    page.get_by_label("Model").select_option("roberta-mini-en")
    expect(text).to_have_value("She opened the door and went into the <mask>.")
    choices = page.get_by_role("group", name="Mask 1").get_by_role("button")
    expect(choices).to_have_count(8)
    visit.check_accessibility()
    visit.check_width()
    choices.first.click()
    expect(page.get_by_text("There is no mask in the text.")).to_be_visible()
    expect(text).to_have_value(re.compile(r"^She opened the door and went into the ?\S+\.$"))
    page.get_by_role("button", name="Insert a mask").click()
    expect(choices).to_have_count(8)
    state = parse_qs(page.url.partition("?")[2])
    assert state["model"] == ["roberta-mini-en"]
    assert "<mask>" in state["text"][0]


def test_a_part_of_a_word_is_joined_to_the_word_before(visit: Visit) -> None:
    page = open_part(visit, "masks", "&text=Water%20[MASK]%20at%20a%20hundred%20degrees.")
    page.get_by_role("group", name="Mask 1").get_by_role("button", name=re.compile("^##s")).click()
    expect(page.get_by_label("Text", exact=True)).to_have_value("Waters at a hundred degrees.")


def test_labels_follow_the_text(visit: Visit) -> None:
    page = open_part(visit, "labels")
    best = page.locator(".bars span").first
    expect(best).to_have_text("positive")
    page.get_by_label("Text", exact=True).fill("I have never been so bored in a cinema.")
    expect(best).to_have_text("negative")
    page.get_by_label("Model").select_option("roberta-agnews-en")
    page.get_by_role("button", name="Example 4").click()
    expect(best).to_have_text("Sports")
    visit.check_accessibility()
    visit.check_width()


def test_entities_are_marked_where_they_are(visit: Visit) -> None:
    page = open_part(visit, "entities")
    expect(page.locator("mark").first).to_contain_text("Anna Schmidt")
    visit.check_accessibility()
    visit.check_width()
    page.get_by_label("Text", exact=True).fill("👋👋👋 John Miller lives in London.")
    expect(page.locator("mark", has_text="London")).to_have_text("LondonLOC")
    expect(page.locator(".marked")).to_contain_text("👋👋👋")


def test_answers_are_highlighted_in_the_context(visit: Visit) -> None:
    page = open_part(visit, "answers")
    marked = page.locator(".marked mark")
    expect(marked).to_have_text("Brazil")
    visit.check_accessibility()
    visit.check_width()
    answers = page.get_by_role("group", name="Answers").get_by_role("button")
    second = answers.nth(1).locator(".name").inner_text()
    answers.nth(1).click()
    expect(marked).to_have_text(second)
    page.get_by_label("Question").fill("When was the worst drought?")
    expect(marked).to_contain_text("2005")


def test_a_story_is_written_token_by_token(visit: Visit) -> None:
    page = open_part(visit, "story", "&length=12&seed=3")
    story = page.get_by_role("region", name="Story so far")
    bars = page.get_by_role("group", name="Next token").get_by_role("button")
    expect(bars).to_have_count(20)
    before = story.inner_text()
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text(re.compile(r"12 tokens, the first after \d+ ms"))).to_be_visible()
    written = story.inner_text()
    assert written.startswith(before)
    assert len(written) > len(before) + 12
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("button", name="Start over").click()
    expect(story).to_have_text(before)
    page.get_by_role("button", name="Write").click()
    expect(story).to_have_text(written)


def test_the_next_token_is_chosen_by_its_bar(visit: Visit) -> None:
    page = open_part(visit, "story")
    story = page.get_by_role("region", name="Story so far")
    bars = page.get_by_role("group", name="Next token").get_by_role("button")
    expect(bars).to_have_count(20)
    before = story.inner_text()
    token = bars.nth(2).locator(".name").inner_text()
    bars.nth(2).click()
    expect(story).to_have_text(before + token.replace("␣", " "))


def test_a_story_can_be_stopped(visit: Visit) -> None:
    page = open_part(visit, "story", "&length=200&text=The%20company%20was%20founded%20in")
    story = page.get_by_role("region", name="Story so far")
    expect(page.get_by_role("group", name="Next token").get_by_role("button")).to_have_count(20)
    before = story.inner_text()
    page.get_by_role("button", name="Write").click()
    page.wait_for_function(
        "([p, n]) => document.querySelector(p).textContent.length > n + 20", arg=[".story", len(before)]
    )
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Write")).to_be_enabled()
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    stopped = story.inner_text()
    page.get_by_role("group", name="Next token").get_by_role("button").first.click()
    expect(story).not_to_have_text(stopped)
    assert story.inner_text().startswith(stopped)


def test_the_sliders_reshape_the_bars(visit: Visit) -> None:
    page = open_part(visit, "story", "&temperature=1")
    expect(page.get_by_role("group", name="Next token").get_by_role("button")).to_have_count(20)
    usual = percents(page)
    assert sum(usual) == pytest.approx(100, abs=1.0)
    page.get_by_label("Temperature").fill("0.2")
    expect(page.get_by_role("group", name="Next token").get_by_role("button").first).not_to_contain_text(f"{usual[0]}%")
    assert percents(page)[0] > usual[0]
    page.get_by_label("Top-k").fill("1")
    expect(page.get_by_role("group", name="Next token").get_by_role("button").first).to_contain_text("100.0%")
    assert percents(page)[1:] == [0.0] * 19
    expect(page).to_have_url(re.compile("temperature=0.2&.*top_k=1"))


def test_bars_are_the_distribution_that_the_server_draws_from(visit: Visit) -> None:
    page = open_part(visit, "labels")
    scores = torch.randn(100, generator=torch.Generator().manual_seed(0)).log_softmax(-1).sort(descending=True).values
    for temperature, top_k, top_p in ((1.0, 20, 1.0), (0.3, 20, 0.9), (1.7, 12, 0.5), (0.05, 3, 0.99), (2.0, 1, 0.01)):
        candidates = Candidates(None, scores)
        for each in (Temperature(temperature), TopK(top_k), *([TopP(top_p)] if top_p < 1 else [])):
            candidates = each.apply(candidates)
        shown = page.evaluate(
            "async ([logprobs, settings]) => {"
            " const { reshape } = await import('/static/playground/panels/texts/sampling.js');"
            " return reshape(logprobs, settings); }",
            [scores[:20].tolist(), {"temperature": temperature, "topK": top_k, "topP": top_p}],
        )
        expected = torch.zeros(20)
        expected[candidates.ids] = candidates.scores.softmax(-1)
        torch.testing.assert_close(torch.tensor(shown, dtype=torch.float32), expected, rtol=1e-4, atol=1e-6)


def test_a_translation_shows_what_the_decoder_looked_at(visit: Visit) -> None:
    page = open_part(visit, "translation")
    expect(page.locator(".translation")).to_have_text("Zwei Hunde spielen im Schnee.")
    heads = page.get_by_role("group", name="Heads by layer").get_by_role("button")
    assert heads.count() == 4 * 4
    page.get_by_role("group", name="Translation").get_by_role("button").nth(2).focus()
    expect(page.get_by_text(re.compile(r"looks at: .+ 0\.\d\d"))).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_label("Text", exact=True).fill("A man is riding a bike.")
    expect(page.locator(".translation")).to_have_text(re.compile("^Ein Mann fährt"))


def test_attention_is_isolated_by_pointing_and_by_keys(visit: Visit) -> None:
    page = open_part(visit, "attention")
    heads = page.get_by_role("group", name="Heads by layer").get_by_role("button")
    expect(heads).to_have_count(6 * 5)
    lines, hidden = page.locator(".links line"), page.locator(".links line.off")
    expect(hidden).to_have_count(0)
    tokens = page.get_by_role("group", name="Token").get_by_role("button")
    tokens.nth(1).hover()
    expect(page.get_by_text(re.compile("^the looks at: "))).to_be_visible()
    of_one = lines.count() - hidden.count()
    assert 0 < of_one < lines.count()
    page.mouse.move(0, 0)
    expect(hidden).to_have_count(0)
    tokens.nth(1).focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text(re.compile("^dog looks at: "))).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("button", name="Layer 3, head 2").click()
    expect(page.get_by_role("heading", name="Layer 3, head 2")).to_be_visible()
    expect(page).to_have_url(re.compile("layer=3&head=2$"))
    page.reload()
    expect(page.get_by_role("heading", name="Layer 3, head 2")).to_be_visible()


def test_sentences_are_compared_and_mapped(visit: Visit) -> None:
    page = open_part(visit, "sentences")
    rows = page.locator(".matrix tr")
    expect(rows).to_have_count(10)
    for place in range(9):
        expect(rows.nth(place + 1).locator("td").nth(place)).to_have_text("1.00")
    page.get_by_role("button", name="8 How old are you?").click()
    expect(page.locator(".map + p, ol li").first).to_be_visible()
    expect(page.locator("ol li").first).to_contain_text("What is your age?")
    visit.check_accessibility()
    visit.check_width()
    page.get_by_label("Sentences, one on each line").fill("one alone")
    expect(page.get_by_text("Write at least two sentences")).to_be_visible()


def test_a_walk_leads_from_one_sentence_to_another(visit: Visit) -> None:
    page = open_part(visit, "walk")
    steps = page.get_by_role("list", name="Sentences on the path").get_by_role("listitem")
    expect(steps).to_have_count(8)
    expect(steps.first).to_have_text("A man is riding a bike.")
    expect(steps.last).to_have_text("Two dogs are playing in the snow.")
    expect(page.locator(".marked")).to_have_text("A man is riding a bike.")
    samples = page.get_by_role("list", name="Samples").get_by_role("listitem")
    expect(samples).to_have_count(5)
    visit.check_accessibility()
    visit.check_width()
    page.get_by_label("To", exact=True).fill("A woman is cooking.")
    expect(steps.last).to_have_text("A woman is cooking.")
    page.get_by_label("Sentences", exact=True).fill("4")
    expect(steps).to_have_count(4)
    drawn = samples.all_inner_texts()
    page.get_by_role("button", name="Draw others").click()
    expect(samples.first).not_to_have_text(drawn[0])
    page.get_by_label("Words", exact=True).fill("")
    expect(page.get_by_role("alert")).to_contain_text("the text has 0 tokens")
    expect(page.locator(".marked")).to_have_text("")
    expect(page).to_have_url(re.compile("steps=4"))
    assert [fault for fault in visit.faults if "422" not in fault] == []
    visit.faults.clear()  # the browser reports every refused request as an error


def test_parts_are_links_that_keep_the_focus(visit: Visit) -> None:
    page = open_part(visit, "labels")
    page.get_by_role("link", name="Answers").click()
    expect(page.get_by_label("Question")).to_be_visible()
    expect(page.get_by_role("link", name="Answers")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("button", name="Example 1")).to_be_visible()


def test_a_refusal_is_told_in_a_sentence(visit: Visit) -> None:
    page = open_part(visit, "labels")
    expect(page.locator(".bars")).to_be_visible()
    page.get_by_label("Text", exact=True).fill("word " * 1000)
    expect(page.get_by_role("alert")).to_contain_text("tokens")
    expect(page.locator(".bars")).to_have_count(0)
    page.get_by_label("Text", exact=True).fill("a wonderful film")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert [fault for fault in visit.faults if "422" not in fault] == []
    visit.faults.clear()  # the browser reports every refused request as an error
