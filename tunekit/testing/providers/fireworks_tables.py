"""Which keys Fireworks' requests may have, and of which type: data, no rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

Kind = Union[str, "frozenset[str]", "Table"]
"""`string`, `integer`, `number`, `boolean`, `object` or `list`; words to choose from; a table."""

Table = Mapping[str, "Kind"]


def _table(
    *, string: str = "", integer: str = "", number: str = "", boolean: str = "", **other: Kind
) -> Table:
    kinds = {"string": string, "integer": integer, "number": number, "boolean": boolean}
    return {name: kind for kind, names in kinds.items() for name in names.split()} | other


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


REGIONS = _words(
    "REGION_UNSPECIFIED US_IOWA_1 US_VIRGINIA_1 US_VIRGINIA_2 US_ILLINOIS_1 US_ILLINOIS_2 "
    "US_ARIZONA_1 US_ARIZONA_2 US_ARIZONA_3 US_TEXAS_1 US_TEXAS_2 US_TEXAS_3 US_NEVADA_1 "
    "US_WASHINGTON_1 US_WASHINGTON_2 US_WASHINGTON_3 US_WASHINGTON_4 US_CALIFORNIA_1 "
    "US_MISSOURI_1 US_UTAH_1 US_GEORGIA_1 US_GEORGIA_2 US_GEORGIA_3 US_GEORGIA_4 US_OHIO_1 "
    "US_NEWYORK_1 NA_BRITISHCOLUMBIA_1 AP_TOKYO_1 AP_TOKYO_2 EU_LONDON_1 EU_FRANKFURT_1 "
    "EU_PARIS_1 EU_HELSINKI_1 EU_ICELAND_1 EU_ICELAND_2 EU_ICELAND_3 EU_ICELAND_DEV_1"
)
FORMATS = _words("FORMAT_UNSPECIFIED CHAT COMPLETION RL")
PRECISIONS = _words(
    "PRECISION_UNSPECIFIED FP16 FP8 FP8_MM FP8_AR FP8_MM_KV_ATTN FP8_KV FP8_MM_V2 FP8_V2 "
    "FP8_MM_KV_ATTN_V2 NF4 FP4 BF16 FP4_BLOCKSCALED_MM FP4_MX_MOE"
)
ACCELERATORS = _words(
    "ACCELERATOR_TYPE_UNSPECIFIED NVIDIA_A100_80GB NVIDIA_H100_80GB AMD_MI300X_192GB "
    "NVIDIA_A10G_24GB NVIDIA_A100_40GB NVIDIA_L4_24GB NVIDIA_H200_141GB NVIDIA_B200_180GB "
    "AMD_MI325X_256GB AMD_MI350X_288GB"
)

_AWS = _table(string="credentialsSecret iamRoleArn")
_AZURE = _table(string="credentialsSecret managedIdentityClientId tenantId")
_WANDB = _table(string="apiKey entity project runId", boolean="enabled")
_DECAY = _table(number="minLrRatio decayRatio")
_SCHEDULER: Table = {"constant": {}, "linear": _DECAY, "cosine": _DECAY}

SFT_JOB = _table(
    string=(
        "dataset baseModel displayName evaluationDataset jinjaTemplate metricsFileSignedUrl "
        "outputModel rendererHuggingFaceRepoId usePurpose reservationTarget warmStartFrom"
    ),
    integer=(
        "batchSize batchSizeSamples samplerCheckpointSaveIntervalSteps epochs "
        "gradientAccumulationSteps learningRateWarmupSteps loraRank maxContextLength "
        "mtpNumDraftTokens nodes"
    ),
    number="learningRate optimizerWeightDecay",
    boolean="earlyStop evalAutoCarveout isTurbo mtpEnabled mtpFreezeBaseModel useReservation",
    awsS3Config=_AWS,
    azureBlobStorageConfig=_AZURE,
    region=REGIONS,
    wandbConfig=_WANDB,
)
SFT_JOB_EXTRAS: Table = {"lrScheduler": _SCHEDULER}
"""In the REST documents, not in the parameters of the Python SDK."""

TRAINING_CONFIG = _table(
    string="baseModel jinjaTemplate outputModel warmStartFrom",
    integer=(
        "batchSize batchSizeSamples samplerCheckpointSaveIntervalSteps epochs "
        "gradientAccumulationSteps learningRateWarmupSteps loraRank maxContextLength"
    ),
    number="learningRate optimizerWeightDecay",
    region=REGIONS,
)
TRAINING_CONFIG_EXTRAS = _table(
    string="trainerShardingScheme",
    integer="loraAlpha",
    number="loraDropout",
    loraTargetModules="list",
    lrScheduler=_SCHEDULER,
)
LOSS_CONFIG = _table(
    number="klBeta",
    dpo=_table(number="beta", integer="refCacheConcurrency refCacheBatchSize"),
    method=_words("METHOD_UNSPECIFIED GRPO DAPO DPO ORPO GSPO_TOKEN"),
)
LOSS_CONFIG_EXTRAS: Table = {"orpo": _table(number="lambda")}

DPO_JOB = _table(
    string="dataset displayName rendererHuggingFaceRepoId reservationTarget",
    boolean="useReservation",
    awsS3Config=_AWS,
    azureBlobStorageConfig=_AZURE,
    lossConfig=LOSS_CONFIG,
    trainingConfig=TRAINING_CONFIG,
    wandbConfig=_WANDB,
)

DATASET = _table(
    string="datasetId sourceDatasetId",
    dataset=_table(
        string="displayName exampleCount externalUrl sourceJobName",
        evalProtocol="object",
        evaluationResult=_table(string="evaluationJobId"),
        format=FORMATS,
        splitted=_table(string="sourceDatasetId"),
        transformed=_table(string="sourceDatasetId", originalFormat=FORMATS),
        userUploaded="object",
    ),
)
UPLOAD_ENDPOINT: Table = {"filenameToSize": "object", "readMask": "string"}

DEPLOYMENT = _table(
    string=(
        "baseModel activeModelVersion deploymentShape deploymentTemplate description displayName "
        "draftModel expireTime hotLoadBucketUrl pricingPlanId targetModelVersion"
    ),
    integer=(
        "acceleratorCount draftTokenCount maxContextLength maxReplicaCount "
        "maxWithRevocableReplicaCount minReplicaCount ngramSpeculationLength"
    ),
    boolean=(
        "disableDeploymentSizeValidation enableAddons enableHotLoad enableHotReloadLatestAddon "
        "enableMtp enableSessionAffinity"
    ),
    acceleratorType=ACCELERATORS,
    autoscalingPolicy=_table(
        string="scaleDownWindow scaleToZeroWindow scaleUpWindow", loadTargets="object"
    ),
    autoTune=_table(boolean="longPrompt"),
    directRouteApiKeys="list",
    directRouteType=_words(
        "DIRECT_ROUTE_TYPE_UNSPECIFIED INTERNET GCP_PRIVATE_SERVICE_CONNECT AWS_PRIVATELINK"
    ),
    hotLoadBucketType=_words("BUCKET_TYPE_UNSPECIFIED MINIO S3 NEBIUS FW_HOSTED"),
    placement={
        "multiRegion": _words("MULTI_REGION_UNSPECIFIED GLOBAL US EUROPE APAC"),
        "region": REGIONS,
        "regions": "list",
    },
    precision=PRECISIONS,
)
DEPLOYED_MODEL = _table(
    string="deployment description displayName model", boolean="default public serverless"
)

QUERIES: Mapping[str, frozenset[str]] = {
    "supervisedFineTuningJobs": _words("supervisedFineTuningJobId"),
    "dpoJobs": _words("dpoJobId"),
    "datasets": frozenset(),
    "deployments": _words(
        "deploymentId disableAutoDeploy disableSpeculativeDecoding skipImageTagValidation "
        "skipShapeValidation acceptShapelessRisk validateOnly"
    ),
    "deployedModels": _words("replaceMergedAddon"),
}
"""What a create may carry beside its body."""

V2_REJECTS = _words("batchSize gradientAccumulationSteps earlyStop jinjaTemplate")
"""Known to every SDK, refused by the second generation of the trainer."""
