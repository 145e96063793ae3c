namespace Platform.Host.Components;

/// <summary>The menu, in the order of the main job: data, models, approval, serving, what it costs, who may.</summary>
internal static class PageMenu
{
    public static readonly IReadOnlyList<Item> Items =
    [
        new("Datasets", "table_chart", "/datasets"),
        new("Feature views", "view_list", "/feature-views"),
        new("Models", "model_training", "/models"),
        new("Training", "fitness_center", "/training-jobs"),
        new("Approvals", "rule", "/approvals"),
        new("Endpoints", "bolt", "/endpoints"),
        new("Predictions", "receipt_long", "/predictions"),
        new("Usage", "payments", "/usage"),
        new("Audit trail", "history", "/audit"),
        new("Keys and people", "key", "/keys"),
        new("Tenants", "apartment", "/tenants"),
    ];

    internal sealed record Item(string Text, string Icon, string Path);
}
