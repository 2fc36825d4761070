# The variables that each program reads its options from (its --help tells what
# they mean). `secrets` are those whose value is a secret, and what to use instead:
# everybody can read what Nix writes into a unit.
let
  common = [ "NIKS3_LOG_LEVEL" ];
  sandboxed = common ++ [ "NIKS3_REQUIRE_SANDBOX" ];
  daemon = sandboxed ++ [ "NIKS3_PEERS" ];
  client = common ++ [
    "NIKS3_SERVER_URL"
    "NIKS3_AUTH_TOKEN_FILE"
    "NIKS3_AUTH_TOKEN_SCRIPT"
    "NIKS3_CA_CERT"
    "NIKS3_CLIENT_CERT"
    "NIKS3_CLIENT_KEY"
  ];
in
{
  server = {
    secrets = {
      NIKS3_API_TOKEN = "services.niks3.apiTokenFile";
    };
    variables = daemon ++ [
      "NIKS3_DB"
      "NIKS3_HTTP_ADDR"
      "NIKS3_API_TOKEN_PATH"
      "NIKS3_SIGNER_SOCKET"
      "NIKS3_UPLOAD_SOCKET"
      "NIKS3_GC_SOCKET"
      "NIX_STORE_DIR"
      "NIKS3_CACHE_URL"
      "NIKS3_UPLOAD_LEASE"
      "NIKS3_AUTHORIZATION_LIFETIME"
      "NIKS3_SERVER_WORKERS"
      "NIKS3_MAX_CONNECTIONS"
      "NIKS3_TLS_CERT"
      "NIKS3_TLS_KEY"
      "NIKS3_ENABLE_READ_PROXY"
      "NIKS3_NARINFO_CACHE_SIZE"
      "NIKS3_NARINFO_CACHE_TTL"
      "NIKS3_S3_CA_CERT"
      "NIKS3_MAX_NAR_SIZE"
      "NIKS3_OIDC_CONFIG"
      "NIKS3_TLS_CLIENT_CA"
      "NIKS3_MTLS_PROXY_HEADER"
      "NIKS3_MTLS_SUBJECT_HEADER"
      "NIKS3_MTLS_PROXY_ADDRESSES"
      "NIKS3_MTLS_PROXY_SOCKET"
      "NIKS3_MTLS_BOUND_SUBJECTS"
      "NIKS3_MTLS_BOUND_SUBJECTS_READ"
    ];
  };

  uploader = {
    secrets = {
      NIKS3_S3_ACCESS_KEY = "services.niks3.s3.accessKeyFile";
      NIKS3_S3_SECRET_KEY = "services.niks3.s3.secretKeyFile";
      AWS_ACCESS_KEY_ID = "services.niks3.s3.iamEnvironmentFile";
      AWS_SECRET_ACCESS_KEY = "services.niks3.s3.iamEnvironmentFile";
      AWS_SESSION_TOKEN = "services.niks3.s3.iamEnvironmentFile";
      AWS_CONTAINER_AUTHORIZATION_TOKEN = "services.niks3.s3.iamEnvironmentFile";
    };
    variables = daemon ++ [
      "NIKS3_S3_ENDPOINT"
      "NIKS3_S3_PUBLIC_URL"
      "NIKS3_S3_BUCKET"
      "NIKS3_S3_REGION"
      "NIKS3_S3_USE_SSL"
      "NIKS3_S3_BUCKET_LOOKUP"
      "NIKS3_S3_CA_CERT"
      "NIKS3_S3_USE_IAM"
      "NIKS3_S3_ACCESS_KEY_PATH"
      "NIKS3_S3_SECRET_KEY_PATH"
      "NIKS3_S3_CONCURRENCY"
      "NIKS3_S3_RATE_LIMIT"
      "NIKS3_UPLOADER_CONNECT"
      "NIKS3_UPLOADER_WORKERS"
      "NIX_STORE_DIR"
      "NIKS3_CACHE_PRIORITY"
      "AWS_CA_BUNDLE"
      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
      "AWS_CONTAINER_CREDENTIALS_FULL_URI"
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
      "AWS_DEFAULT_REGION"
      "AWS_EC2_METADATA_DISABLED"
      "AWS_EC2_METADATA_SERVICE_ENDPOINT"
      "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"
      "AWS_ENDPOINT_URL_STS"
      "AWS_REGION"
      "AWS_ROLE_ARN"
      "AWS_ROLE_SESSION_NAME"
      "AWS_WEB_IDENTITY_TOKEN_FILE"
    ];
  };

  signer = {
    secrets = { };
    variables = daemon ++ [
      "NIKS3_SIGN_KEY_PATHS"
      "NIKS3_SIGNER_SOCKET"
    ];
  };

  gcWorker = {
    secrets = { };
    variables = daemon ++ [
      "NIKS3_DB"
      "NIKS3_GC_SOCKET"
      "NIKS3_GC_UPLOAD_SOCKET"
      "NIKS3_GC_MAX_SHARE"
      "NIKS3_GC_MAX_SHARE_FLOOR"
    ];
  };

  migrate = {
    secrets = { };
    variables = sandboxed ++ [
      "NIKS3_DB"
      "NIKS3_MIGRATIONS_DIR"
      "NIKS3_MIGRATE_TIMEOUT"
    ];
  };

  gc = {
    secrets = { };
    variables = client;
  };

  hook = {
    secrets = { };
    variables = client ++ [
      "NIKS3_MAX_CONCURRENT_UPLOADS"
      "NIKS3_COMPRESSION_LEVEL"
      "NIKS3_NO_LOGS"
      "NIKS3_UPSTREAM_CACHES"
      "NIKS3_SKIP_SIGNED_BY"
      "NIKS3_BATCH_SIZE"
      "NIKS3_MAX_TRIES"
      "NIKS3_RETRY_DELAY"
      "NIKS3_QUEUE_MAX"
      "NIKS3_DRAIN_TIMEOUT"
      "NIKS3_HOOK_SOCKET"
      "NIKS3_HOOK_GROUP"
      "NIKS3_HOOK_DB_PATH"
      "NIKS3_HOOK_IDLE_EXIT_TIMEOUT"
      "NIKS3_HOOK_MAX_CONNECTIONS"
      "NIKS3_HOOK_NIKS3"
    ];
  };
}
