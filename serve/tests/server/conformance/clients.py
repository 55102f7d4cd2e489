"""Asks a server by the public clients, and compares what they get with the library's own predictions, bit for bit.

usage: clients.py HTTP_ADDRESS GRPC_ADDRESS CASE.json SCHEMA.json

The case names the model, its version, and for inputs and outputs the name, datatype, shape and a file with the elements.
"""

import importlib.util
import json
import os
import queue
import sys
import urllib.error
import urllib.request

import grpc
import jsonschema
import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, triton_to_np_dtype


class Case:
    def __init__(self, path):
        with open(path) as file:
            case = json.load(file)
        self.model, self.version = case["model"], case["version"]
        self.inputs = [Tensor(tensor) for tensor in case["inputs"]]
        self.outputs = [Tensor(tensor) for tensor in case["outputs"]]


class Tensor:
    def __init__(self, tensor):
        self.name, self.datatype, self.shape = tensor["name"], tensor["datatype"], tensor["shape"]
        self.array = np.fromfile(tensor["file"], triton_to_np_dtype(self.datatype)).reshape(self.shape)


def same(what, found, tensor):
    wanted = tensor.array
    assert found is not None, f"{what}: no output {tensor.name}"
    assert found.shape == wanted.shape and found.dtype == wanted.dtype, f"{what}: {found.dtype}{found.shape}"
    assert found.tobytes() == wanted.tobytes(), f"{what}: {tensor.name} differs by {np.abs(found - wanted).max()}"


def answers(what, result, case):
    for tensor in case.outputs:
        same(what, result.as_numpy(tensor.name), tensor)


def refused(what, call, status=None):
    try:
        call()
    except InferenceServerException as error:
        assert status is None or error.status() == status, f"{what}: {error.status()}, not {status}"
        return
    raise AssertionError(f"{what} was answered")


def given(module, case, **how):
    """The inputs as a client has them."""
    inputs = []
    for tensor in case.inputs:
        made = module.InferInput(tensor.name, tensor.shape, tensor.datatype)
        made.set_data_from_numpy(tensor.array, **how)
        inputs.append(made)
    return inputs


def health_and_metadata(client, case, described):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(case.model) and client.is_model_ready(case.model, case.version)
    assert not client.is_model_ready("no such model")
    server, model, index = described
    assert server["name"] == "gradc" and "model_repository" in server["extensions"], server
    assert model["name"] == case.model and case.version in model["versions"], model
    for said, own in ((model["inputs"], case.inputs), (model["outputs"], case.outputs)):
        for tensor in own:
            found = next(one for one in said if one["name"] == tensor.name)
            shape = [int(extent) for extent in found["shape"]]
            assert found["datatype"] == tensor.datatype and shape == [-1] + tensor.shape[1:], found
    assert [(one["name"], one["version"], one["state"]) for one in index] == [(case.model, case.version, "READY")], index


def http(address, case):
    client = httpclient.InferenceServerClient(address, concurrency=4)
    described = client.get_server_metadata(), client.get_model_metadata(case.model), client.get_model_repository_index()
    health_and_metadata(client, case, described)
    binary, plain = given(httpclient, case), given(httpclient, case, binary_data=False)
    asked = lambda binary: [httpclient.InferRequestedOutput(one.name, binary_data=binary) for one in case.outputs]
    answers("http, all binary", client.infer(case.model, binary), case)
    answers("http, binary in and out", client.infer(case.model, binary, outputs=asked(True)), case)
    answers("http, binary in, JSON out", client.infer(case.model, binary, outputs=asked(False)), case)
    answers("http, JSON in, binary out", client.infer(case.model, plain, outputs=asked(True)), case)
    answers("http, JSON in and out", client.infer(case.model, plain, outputs=asked(False)), case)
    result = client.infer(case.model, binary, model_version=case.version, request_id="seven")
    assert result.get_response()["id"] == "seven"
    for waiting in [client.async_infer(case.model, binary) for _ in range(8)]:
        answers("http, at once", waiting.get_result(), case)
    refused("http: no model", lambda: client.infer("none", binary))
    refused("http: no version", lambda: client.infer(case.model, binary, model_version="12345"))
    refused("http: no input", lambda: client.infer(case.model, []))
    client.load_model(case.model)
    answers("http, loaded anew", client.infer(case.model, binary), case)
    client.close()


def by_grpc(address, case):
    client = grpcclient.InferenceServerClient(address)
    index = client.get_model_repository_index(as_json=True)["models"]
    described = client.get_server_metadata(as_json=True), client.get_model_metadata(case.model, as_json=True), index
    health_and_metadata(client, case, described)
    inputs, outputs = given(grpcclient, case), [grpcclient.InferRequestedOutput(one.name) for one in case.outputs]
    answers("grpc", client.infer(case.model, inputs), case)
    answers("grpc, with outputs", client.infer(case.model, inputs, outputs=outputs, client_timeout=30), case)
    result = client.infer(case.model, inputs, model_version=case.version, request_id="seven")
    assert result.get_response().id == "seven"
    results = queue.SimpleQueue()
    took = lambda result, error: results.put((result, error))
    for _ in range(8):
        client.async_infer(case.model, inputs, took)
    client.start_stream(took)
    for _ in range(8):
        client.async_stream_infer(case.model, inputs)
    for _ in range(16):
        result, error = results.get(timeout=60)
        assert error is None, error
        answers("grpc, at once and as a stream", result, case)
    client.async_stream_infer("none", inputs)
    assert "there is no model" in str(results.get(timeout=60)[1])
    client.stop_stream()
    refused("grpc: no model", lambda: client.infer("none", inputs), "StatusCode.NOT_FOUND")
    refused("grpc: no version", lambda: client.infer(case.model, inputs, model_version="12345"), "StatusCode.NOT_FOUND")
    refused("grpc: no input", lambda: client.infer(case.model, []), "StatusCode.INVALID_ARGUMENT")
    client.load_model(case.model)
    answers("grpc, loaded anew", client.infer(case.model, inputs), case)
    client.close()


LISTS = {"FP32": "fp32_contents", "FP64": "fp64_contents", "INT32": "int_contents", "INT64": "int64_contents"}


def typed(address, case):
    """Elements in the message's lists: no client class sends them, the generated stub does."""
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name=case.model)
        for tensor in case.inputs:
            made = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            getattr(made.contents, LISTS[tensor.datatype]).extend(tensor.array.ravel().tolist())
        response = stub.ModelInfer(request)
        assert not response.raw_output_contents
        for tensor in case.outputs:
            found = next(one for one in response.outputs if one.name == tensor.name)
            elements = np.array(getattr(found.contents, LISTS[tensor.datatype]), tensor.array.dtype)
            same("grpc, typed", elements.reshape(list(found.shape)), tensor)
        try:
            stub.ModelConfig(service_pb2.ModelConfigRequest(name=case.model))
            raise AssertionError("grpc: a method that there isn't was answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def fetched(address, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def by_the_schema(address, case, path):
    """What is answered as JSON has the members and types that the protocol gives it."""
    with open(path) as file:
        schema = json.load(file)
    model = f"/v2/models/{case.model}"
    inputs = [
        {"name": one.name, "datatype": one.datatype, "shape": one.shape, "data": one.array.ravel().tolist()}
        for one in case.inputs
    ]
    asked = [
        ("server_metadata", 200, "/v2", None),
        ("model_metadata", 200, model, None),
        ("model_metadata", 200, f"{model}/versions/{case.version}", None),
        ("infer_response", 200, f"{model}/infer", {"id": "a", "inputs": inputs}),
        ("infer_response", 200, f"{model}/versions/{case.version}/infer", {"inputs": inputs}),
        ("repository_index", 200, "/v2/repository/index", {}),
        ("error", 404, "/v2/models/none", None),
        ("error", 404, "/v2/models/none/infer", {"inputs": inputs}),
        ("error", 400, f"{model}/infer", {"inputs": []}),
        ("error", 400, f"{model}/infer", {"inputs": [{**inputs[0], "datatype": "FP99"}]}),
        ("error", 400, f"{model}/infer", ["no request"]),
    ]
    for kind, status, path, body in asked:
        code, answer = fetched(address, path, body)
        assert code == status, f"{path}: {code}, not {status}: {answer}"
        jsonschema.validate(answer, {**schema, "$ref": f"#/$defs/{kind}"})


# The protocol's OpenAPI documents, as its authors' server carries them: they describe the two groups of addresses.
DOCUMENTS = ["dataplane.json", "model_repository.json"]


def published():
    """The documents, from the package `mlserver`, which need not run here; none if it isn't installed."""
    found = importlib.util.find_spec("mlserver")
    if found is None:
        return []
    documents = []
    for name in DOCUMENTS:
        with open(os.path.join(found.submodule_search_locations[0], "rest", "openapi", name)) as file:
            documents.append(json.load(file))
    return documents


class Operation:
    """What a document says of an address."""

    # Of OpenAPI 3.0, whose schemas are nearest to this draft. Elements may be `bytes` there, which no JSON is.
    validator = jsonschema.validators.extend(
        jsonschema.Draft4Validator,
        type_checker=jsonschema.Draft4Validator.TYPE_CHECKER.redefine("bytes", lambda _, value: isinstance(value, bytes)),
    )

    def __init__(self, documents, path, method):
        self.document = next(document for document in documents if path in document["paths"])
        self.content = self.document["paths"][path][method]

    def fits(self, content, value):
        schema = content["content"]["application/json"]["schema"]
        return self.validator({**schema, "components": self.document["components"]}).is_valid(value)

    def answers(self, status, value):
        return self.fits(self.content["responses"][str(status)], value)

    def asks(self, value):
        return self.fits(self.content["requestBody"], value)


def by_the_published_schema(address, case):
    """Requests and answers fit what the protocol's own documents say of each address."""
    documents = published()
    if not documents:
        print("SKIPPED: there is no package mlserver (pip install --no-deps mlserver), which has the protocol's OpenAPI documents")
        return
    inputs = [
        {"name": one.name, "datatype": one.datatype, "shape": one.shape, "data": one.array.ravel().tolist()}
        for one in case.inputs
    ]
    whole = {"id": "a", "inputs": inputs, "outputs": [{"name": one.name} for one in case.outputs]}
    model, version = "/v2/models/{model_name}", "/versions/{model_version}"
    asked = [
        (200, "get", "/v2", None),
        (200, "get", model, None),
        (200, "get", model + version, None),
        (200, "post", model + "/infer", whole),
        (200, "post", model + version + "/infer", {"inputs": inputs}),
        (400, "post", model + "/infer", {"inputs": []}),
        (400, "post", model + "/infer", {"inputs": [{**inputs[0], "name": "none"}]}),
        (404, "get", model, None),
        (404, "post", model + "/infer", whole),
        (200, "post", "/v2/repository/index", {"ready": True}),
    ]
    for status, method, path, body in asked:
        operation, name = Operation(documents, path, method), "none" if status == 404 else case.model
        code, answer = fetched(address, path.format(model_name=name, model_version=case.version), body)
        assert code == status, f"{path}: {code}, not {status}: {answer}"
        assert body is None or operation.asks(body), f"{path}: what is asked doesn't fit"
        assert operation.answers(status, answer), f"{path}: {answer} doesn't fit"
        if status == 200:
            # What lacks a member, or has one of another type, is no such answer: the schemas do say something.
            broken = {**answer, next(iter(answer)): 7} if isinstance(answer, dict) else [{**answer[0], "state": 7}]
            assert not operation.answers(status, broken), f"{path}: {broken} fits, too"
    print(f"{len(asked)} requests and answers fit the published schema")


def main():
    http_address, grpc_address, case, schema = sys.argv[1:]
    case = Case(case)
    http(http_address, case)
    by_grpc(grpc_address, case)
    typed(grpc_address, case)
    by_the_schema(http_address, case, schema)
    by_the_published_schema(http_address, case)
    print("all clients agree")


main()
