namespace Platform.Features;

/// <summary>What may be done with datasets, entities and feature views.</summary>
internal static class Permissions
{
    public const string Read = "features:read";
    public const string Write = "features:write";
}
