namespace Platform.Host.Components;

/// <summary>The menu, in the order of the main job: data, models, approval, serving, what it costs, who may. Each stands there only for those who may see it.</summary>
internal static class PageMenu
{
    public static readonly IReadOnlyList<Item> Items =
    [
        new("Datasets", "table_chart", "/datasets", "features:read"),
        new("Feature views", "view_list", "/feature-views", "features:read"),
        new("Experiments", "science", "/experiments", "tracking:read"),
        new("Models", "model_training", "/models", "registry:read"),
        new("Shared models", "share", "/shared-models", "registry:read"),
        new("Training", "fitness_center", "/training-jobs", "registry:read"),
        new("Approvals", "rule", "/approvals", "governance:read"),
        new("Endpoints", "bolt", "/endpoints", "inference:read"),
        new("Model repository", "memory", "/resident-models", "inference:read", "platform:operate"),
        new("Predictions", "receipt_long", "/predictions", "inference:read"),
        new("Usage", "payments", "/usage", "billing:read"),
        new("Audit trail", "history", "/audit", "governance:read"),
        new("Keys and people", "key", "/keys", "tenancy:read"),
        new("Tenants", "apartment", "/tenants", "platform:tenants"),
    ];

    /// <param name="AnyOf">Permissions, one of which is enough to see it.</param>
    internal sealed record Item(string Text, string Icon, string Path, params string[] AnyOf);
}
