//! What each method of the service does.

use super::RemoteCall;
use super::infer::{self, given};
use super::messages::{
    MetadataTensor, ModelIndex, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ModelStreamInferResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use crate::engine::{Failure, ModelState, ModelStatus, TensorMetadata};

pub(super) async fn server_live(call: RemoteCall, _: ServerLiveRequest) -> Result<ServerLiveResponse, Failure> {
    Ok(ServerLiveResponse { live: call.engine.live() })
}

pub(super) async fn server_ready(call: RemoteCall, _: ServerReadyRequest) -> Result<ServerReadyResponse, Failure> {
    Ok(ServerReadyResponse { ready: call.engine.ready() })
}

pub(super) async fn model_ready(call: RemoteCall, asked: ModelReadyRequest) -> Result<ModelReadyResponse, Failure> {
    // To a question of yes or no, what isn't there is no.
    let ready = match call.engine.model_ready(&asked.name, given(asked.version).as_deref()) {
        Err(Failure::NotFound(_)) => false,
        known => known?,
    };
    Ok(ModelReadyResponse { ready })
}

pub(super) async fn server_metadata(
    _: RemoteCall,
    _: ServerMetadataRequest,
) -> Result<ServerMetadataResponse, Failure> {
    Ok(ServerMetadataResponse {
        name: crate::NAME.into(),
        version: crate::VERSION.into(),
        extensions: crate::EXTENSIONS.iter().map(|name| (*name).into()).collect(),
    })
}

pub(super) async fn model_metadata(
    call: RemoteCall,
    asked: ModelMetadataRequest,
) -> Result<ModelMetadataResponse, Failure> {
    let metadata = call.engine.metadata(&asked.name, given(asked.version).as_deref())?;
    let tensor = |tensor: TensorMetadata| MetadataTensor {
        name: tensor.name,
        datatype: tensor.datatype.name().into(),
        shape: tensor.shape,
    };
    Ok(ModelMetadataResponse {
        name: metadata.name,
        versions: metadata.versions,
        platform: metadata.platform.into(),
        inputs: metadata.inputs.into_iter().map(tensor).collect(),
        outputs: metadata.outputs.into_iter().map(tensor).collect(),
    })
}

pub(super) async fn model_infer(call: RemoteCall, asked: ModelInferRequest) -> Result<ModelInferResponse, Failure> {
    let (request, form) = infer::request(asked, call.deadline)?;
    Ok(infer::response(call.engine.infer(request).await?, form))
}

/// A request that fails is an answer of the stream, which goes on. It carries the request's id, as far as there is one.
pub(super) async fn model_stream_infer(call: RemoteCall, asked: ModelInferRequest) -> ModelStreamInferResponse {
    let id = asked.id.clone();
    match model_infer(call, asked).await {
        Ok(response) => ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) },
        Err(failure) => ModelStreamInferResponse {
            error_message: failure.to_string(),
            infer_response: Some(ModelInferResponse { id, ..Default::default() }),
        },
    }
}

pub(super) async fn repository_index(
    call: RemoteCall,
    asked: RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse, Failure> {
    let wanted = |status: &ModelStatus| !asked.ready || status.state == ModelState::Ready;
    let index = |status: ModelStatus| ModelIndex {
        name: status.name,
        version: status.version,
        state: status.state.to_string(),
        reason: status.reason,
    };
    Ok(RepositoryIndexResponse { models: call.engine.models().into_iter().filter(wanted).map(index).collect() })
}

pub(super) async fn repository_model_load(
    call: RemoteCall,
    asked: RepositoryModelLoadRequest,
) -> Result<RepositoryModelLoadResponse, Failure> {
    call.engine.load(&asked.model_name).await?;
    Ok(RepositoryModelLoadResponse {})
}

pub(super) async fn repository_model_unload(
    call: RemoteCall,
    asked: RepositoryModelUnloadRequest,
) -> Result<RepositoryModelUnloadResponse, Failure> {
    call.engine.unload(&asked.model_name).await?;
    Ok(RepositoryModelUnloadResponse {})
}
