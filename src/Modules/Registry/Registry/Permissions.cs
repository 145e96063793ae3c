namespace Platform.Registry;

/// <summary>What may be done with models and training.</summary>
internal static class Permissions
{
    public const string Read = "registry:read";
    public const string Write = "registry:write";

    /// <summary>To read experiments, runs and their artifacts.</summary>
    public const string ReadRuns = "tracking:read";

    /// <summary>To log them.</summary>
    public const string WriteRuns = "tracking:write";

    /// <summary>To decide what the registry tells others (webhooks), what it keeps (retention, holds, purges), whose signatures count, and which models other tenants see.</summary>
    public const string Manage = "registry:manage";
}
