"""The official OpenAI client against the gateway."""

import openai
import pytest

MODEL = "gpt-4o-mini"
TEXT_MODEL = "gpt-3.5-turbo-instruct"
MESSAGES = [{"role": "user", "content": "secret-prompt: say hello"}]


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token(), max_retries=0) as client:
        yield client


def other(gateway, **options):
    return openai.OpenAI(**{"base_url": f"{gateway.url}/v1", "api_key": gateway.token(), "max_retries": 0} | options)


def test_a_plain_chat_is_answered_and_booked(gateway, client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=20)
    answer = raw.parse()
    assert answer.choices[0].message.content
    usage = answer.usage
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(usage.prompt_tokens, usage.completion_tokens)


def test_a_stream_comes_in_chunks_without_the_usage_that_nobody_asked_for(gateway, client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=20, stream=True)
    chunks = list(raw.parse())
    assert len(chunks) > 1 and all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason
    # The books have it all the same: what the mock says where nothing is asked, and as many tokens for the same words.
    plain = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=20).usage
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(plain.prompt_tokens, plain.completion_tokens)


def test_a_stream_ends_with_usage_where_it_was_asked_for(gateway, client):
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, max_tokens=20, stream=True, stream_options={"include_usage": True}
    )
    usage = list(raw.parse())[-1].usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(usage.prompt_tokens, usage.completion_tokens)


def test_embeddings_are_vectors(gateway, client):
    raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=["one", "two"])
    answer = raw.parse()
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 0 and answer.usage.prompt_tokens > 0
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(answer.usage.prompt_tokens, 0)


def test_a_text_completion_is_answered_and_booked(gateway, client):
    raw = client.completions.with_raw_response.create(
        model=TEXT_MODEL, prompt=["secret-prompt: one", "secret-prompt: two"], max_tokens=5, n=2, best_of=3, echo=True
    )
    answer = raw.parse()
    assert answer.object == "text_completion"
    texts = [choice.text for choice in answer.choices]
    assert [text[:18] for text in texts] == ["secret-prompt: one"] * 2 + ["secret-prompt: two"] * 2
    usage = answer.usage
    assert usage.completion_tokens == 2 * 3 * 5, "what is written for the best of three is paid for"
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(usage.prompt_tokens, usage.completion_tokens)


def test_a_text_completion_takes_each_form_of_a_prompt_and_sixteen_tokens_by_default(gateway, client):
    for prompt, prompts in [("one", 1), (["one", "two"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)]:
        raw = client.completions.with_raw_response.create(
            model=TEXT_MODEL, prompt=prompt, extra_headers={"x-mock-output-tokens": "50"}
        )
        answer = raw.parse()
        assert [choice.finish_reason for choice in answer.choices] == ["length"] * prompts
        assert answer.usage.completion_tokens == 16 * prompts
        booked = gateway.booked(raw.headers["x-request-id"])
        assert booked == gateway.whole(answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_a_text_completion_streams_with_and_without_usage(gateway, client):
    create = client.completions.with_raw_response.create
    with_usage = {"stream_options": {"include_usage": True}}
    raw = create(model=TEXT_MODEL, prompt="secret-prompt: say hello", max_tokens=20, stream=True, **with_usage)
    *chunks, last = list(raw.parse())
    assert len(chunks) > 1 and all(chunk.choices for chunk in chunks) and not last.choices
    assert "".join(chunk.choices[0].text for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason
    expected = gateway.whole(last.usage.prompt_tokens, last.usage.completion_tokens)
    assert gateway.booked(raw.headers["x-request-id"]) == expected

    raw = create(model=TEXT_MODEL, prompt="secret-prompt: say hello", max_tokens=20, stream=True)
    assert all(chunk.choices for chunk in raw.parse())
    assert gateway.booked(raw.headers["x-request-id"]) == expected, "the books have what the client did not ask for"


def test_a_text_completion_that_cannot_be_bounded_is_refused_by_name(client):
    for field, value in [("best_of", 0), ("prompt_embeds", "AAAA"), ("max_completion_tokens", 5)]:
        with pytest.raises(openai.BadRequestError) as refused:
            client.completions.create(model=TEXT_MODEL, prompt="one", extra_body={field: value})
        assert refused.value.param == field


def test_models_are_listed_and_found_one_by_one(client):
    names = [model.id for model in client.models.list()]
    assert MODEL in names
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_each_refusal_is_the_clients_own_exception(gateway, client):
    with pytest.raises(openai.AuthenticationError) as refused:
        other(gateway, api_key="nonsense").models.list()
    assert refused.value.response.headers["www-authenticate"].startswith("Bearer")
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert refused.value.code == "model_not_allowed"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=-1)
    assert refused.value.param == "max_tokens"
    viewer = other(gateway, api_key=gateway.token(role="viewer"))
    with pytest.raises(openai.PermissionDeniedError):
        viewer.chat.completions.create(model=MODEL, messages=MESSAGES)


def test_each_fault_of_the_provider_is_the_clients_own_exception(client):
    for status, exception in [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (401, openai.InternalServerError),  # the provider's 401 is not the caller's: 502
    ]:
        with pytest.raises(exception):
            client.chat.completions.create(
                model=MODEL, messages=MESSAGES, max_tokens=20, extra_headers={"x-mock-status": str(status)}
            )


def test_a_stream_that_the_provider_breaks_raises(client):
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=20, stream=True, extra_headers={"x-mock-break-after": "2", "x-mock-chunks": "6"}
    )
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_stream_closed_early_is_settled_once(gateway, client):
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=MESSAGES,
        max_tokens=200,
        stream=True,
        extra_headers={"x-mock-chunks": "50", "x-mock-chunk-delay-ms": "20", "x-mock-output-tokens": "50"},
    )
    request_id = raw.headers["x-request-id"]
    stream = raw.parse()
    next(iter(stream))
    stream.close()
    assert len(gateway.wait_for_row("usage", request_id)) == 1
    ending, output = gateway.rows("select ending, output_tokens from tollgate.usage where request_id = %s", request_id)[0]
    assert (ending, output) == ("abandoned", 50), "drained to the provider's true usage"


def test_credits_that_do_not_cover_a_call_are_a_402(gateway):
    status, out, err = gateway.command("org", "create", "--name", "poor")
    assert status == 0, err
    import json

    organization = json.loads(out)["organization_id"]
    token = gateway.mint(organization_id=organization, user_id="someone", role="member")
    with pytest.raises(openai.APIStatusError) as refused:
        other(gateway, api_key=token, max_retries=2).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_credits")
    assert gateway.command("credits", "grant", "--org", organization, "--amount", "1.50")[0] == 0
    answer = other(gateway, api_key=token).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=20)
    assert answer.choices[0].message.content, "a top-up takes effect on the next call"


def test_a_policy_takes_models_away(gateway):
    import json

    organization = json.loads(gateway.command("org", "create", "--name", "narrow")[1])["organization_id"]
    assert gateway.command("credits", "grant", "--org", organization, "--amount", "1")[0] == 0
    status, out, err = gateway.command("policy", "set", "--org", organization, '{"models": ["gpt-4o-mini"]}')
    assert status == 0, out + err
    narrow = other(gateway, api_key=gateway.mint(organization_id=organization, user_id="someone", role="member"))
    assert [model.id for model in narrow.models.list()] == ["gpt-4o-mini"]
    with pytest.raises(openai.PermissionDeniedError):
        narrow.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert narrow.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=5).usage.total_tokens > 0
