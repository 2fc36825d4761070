# What a unit is here and on other systems alike; tests/nix.sh compares it with
# systemd/*.service. `relations` are options of systemd.services.NAME, `service` is
# serviceConfig. Programs, secrets and settings are elsewhere.
let
  confined = {
    NoNewPrivileges = true;
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    ProtectSystem = "strict";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateDevices = true;
    DevicePolicy = "closed";
    ProtectProc = "invisible";
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectControlGroups = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RemoveIPC = true;
    KeyringMode = "private";
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    # By name: older versions of systemd do not know @sandbox.
    SystemCallFilter = [
      "@system-service"
      "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp"
      "~@privileged @resources"
      "prlimit64"
    ];
    NoExecPaths = "/";
    ExecPaths = "/nix/store";
    InaccessiblePaths = "-/etc/niks3";
    LimitCORE = 0;
    UMask = "0077";
  };
  network.RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
  # Sockets are made there, and to connect to one is to write to it.
  sockets.ReadWritePaths = "/run/niks3";

  daemon = confined // sockets // {
    Type = "notify";
    Group = "niks3";
    Restart = "always";
    RestartSec = 2;
    # A mistake in the options is not mended by trying again.
    RestartPreventExitStatus = 2;
    WatchdogSec = 30;
    TimeoutStopSec = 30;
  };
  always.StartLimitIntervalSec = 0;

  online = [ "network-online.target" ];
  onlineAfter = online ++ [ "nss-lookup.target" ];
  tmpfiles = [ "systemd-tmpfiles-setup.service" ];
in
{
  server = {
    relations = {
      partOf = [ "niks3.target" ];
      requires = [ "niks3-server.socket" ];
      wants = [ "niks3-migrate.service" ] ++ online;
      # It is stopped before, and started after, what it asks: so no push fails when
      # all are restarted.
      after = [
        "niks3-server.socket"
        "niks3-migrate.service"
        "niks3-signer.service"
        "niks3-gc-worker.service"
      ] ++ onlineAfter ++ tmpfiles;
      unitConfig = always;
    };
    service = daemon // network // {
      User = "niks3-server";
      TimeoutStartSec = "5min"; # it waits for the database
      TasksMax = 2048;
      LimitNOFILE = 65536;
    };
  };

  uploader = {
    relations = {
      partOf = [ "niks3.target" ];
      wants = online;
      after = onlineAfter ++ tmpfiles;
      before = [ "niks3-server.service" "niks3-gc-worker.service" ];
      unitConfig = always;
    };
    service = daemon // network // {
      User = "niks3-uploader";
      TimeoutStartSec = "5min"; # it waits for S3
      TasksMax = 4096;
    };
  };

  signer = {
    relations = {
      partOf = [ "niks3.target" ];
      after = tmpfiles;
      before = [ "niks3-server.service" ];
      unitConfig = always;
    };
    service = daemon // {
      User = "niks3-signer";
      RestrictAddressFamilies = "AF_UNIX";
      PrivateNetwork = true;
      IPAddressDeny = "any";
      TasksMax = 64;
    };
  };

  gcWorker = {
    relations = {
      partOf = [ "niks3.target" ];
      wants = [ "niks3-migrate.service" ] ++ online;
      after = [ "niks3-migrate.service" ] ++ onlineAfter ++ tmpfiles;
      before = [ "niks3-server.service" ];
      unitConfig = always;
    };
    service = daemon // network // {
      User = "niks3-gc";
      TasksMax = 64;
    };
  };

  migrate = {
    relations = {
      wants = online;
      after = onlineAfter;
    };
    service = confined // network // {
      Type = "oneshot";
      User = "niks3-migrate";
      TimeoutStartSec = "15min";
      PrivateIPC = true;
      TasksMax = 16;
    };
  };

  gc = {
    relations = {
      wants = online;
      after = onlineAfter ++ [ "niks3-server.service" ];
    };
    service = confined // network // {
      Type = "oneshot";
      User = "niks3-gc";
      Group = "niks3";
      TimeoutStartSec = "infinity";
      PrivateIPC = true;
      TasksMax = 64;
    };
  };

  hook = {
    relations = {
      requires = [ "niks3-hook.socket" ];
      wants = online;
      after = [ "niks3-hook.socket" ] ++ online;
      unitConfig = always;
    };
    # It runs nix and niks3.
    service = removeAttrs confined [
      "DevicePolicy"
      "ExecPaths"
      "InaccessiblePaths"
      "KeyringMode"
      "MemoryDenyWriteExecute"
      "NoExecPaths"
      "ProcSubset"
    ] // network // {
      Type = "notify";
      NotifyAccess = "main";
      Restart = "on-failure";
      RestartSec = 5;
      RestartPreventExitStatus = 2;
      # The push that runs is ended by niks3-hook, in its own time.
      KillMode = "mixed";
      TimeoutStopSec = 120;
      DynamicUser = true;
      StateDirectory = "niks3-hook";
      StateDirectoryMode = "0700";
      CacheDirectory = "niks3-hook";
      CacheDirectoryMode = "0700";
      SystemCallFilter = [ "@system-service" "~@privileged" ];
    };
  };

  # Of sockets, `socket` is socketConfig.
  serverSocket = {
    relations.unitConfig.StopPropagatedFrom = "niks3.target";
    socket.Backlog = 1024;
  };
  gcTimer.relations.partOf = [ "niks3.target" ];
  hookSocket = {
    relations = { };
    # nix-daemon runs the hook as root.
    socket = {
      SocketMode = "0600";
      RemoveOnStop = true;
    };
  };
}
