namespace Platform.Kernel;

/// <summary>The installation's master key (32 bytes): wraps every tenant's data key and signs nothing else. Set by the host.</summary>
public sealed record MasterKey(byte[] Bytes);

/// <summary>The platform administrator's API key, hashed (SHA-256); it works before anything else exists. Set by the host.</summary>
public sealed record SetupKey(byte[] Sha256);
