"""The official Anthropic client against the gateway."""

import anthropic
import pytest

MODEL = "claude-sonnet-5"
MESSAGES = [{"role": "user", "content": "secret-prompt: say hello"}]


@pytest.fixture
def client(gateway):
    # This client sends its key as `x-api-key`; the gateway takes the same token there.
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token(), max_retries=0) as client:
        yield client


def test_a_plain_message_is_answered_and_booked(gateway, client):
    raw = client.messages.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=20)
    answer = raw.parse()
    assert answer.content[0].text
    usage = answer.usage
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(usage.input_tokens, usage.output_tokens)


def test_a_stream_ends_with_the_message_and_its_usage(gateway, client):
    with client.messages.stream(model=MODEL, messages=MESSAGES, max_tokens=20) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
        request_id = stream.response.headers["x-request-id"]
    assert text and message.usage.output_tokens > 0 and message.stop_reason
    usage = message.usage
    assert gateway.booked(request_id) == gateway.whole(usage.input_tokens, usage.output_tokens)


def test_a_bearer_token_works_as_well(gateway):
    with anthropic.Anthropic(base_url=gateway.url, auth_token=gateway.token(), api_key=None, max_retries=0) as client:
        raw = client.messages.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=5)
    answer = raw.parse()
    assert answer.content and answer.usage.output_tokens == 5
    assert gateway.booked(raw.headers["x-request-id"]) == gateway.whole(answer.usage.input_tokens, 5)


def test_models_are_listed(client):
    listed = [model.id for model in client.models.list()]
    assert MODEL in listed


def test_each_refusal_is_the_clients_own_exception(gateway, client):
    with pytest.raises(anthropic.AuthenticationError) as refused:
        anthropic.Anthropic(base_url=gateway.url, api_key="nonsense", max_retries=0).messages.create(
            model=MODEL, messages=MESSAGES, max_tokens=5
        )
    assert refused.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(model="no-such-model", messages=MESSAGES, max_tokens=5)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=-1)
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=5, extra_headers={"x-mock-status": "429"})


def test_a_stream_closed_early_is_settled_once(gateway, client):
    raw = client.messages.with_raw_response.create(
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
    assert (ending, output) == ("abandoned", 50)
