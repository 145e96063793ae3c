using Platform.Kernel;
using Platform.Registry.Webhooks;

namespace Platform.Registry.Mlflow;

/// <summary><c>webhooks</c>: the platform's own, by MLflow's words.</summary>
internal static class WebhookRoutes
{
    internal static void Map(MlflowRoutes.Table routes)
    {
        routes.Post("mlflow/webhooks", Permissions.Manage, "Create a webhook", CreateAsync);
        routes.Get("mlflow/webhooks", Permissions.Manage, "List webhooks", ListAsync);
        routes.Get("mlflow/webhooks/{webhook}", Permissions.Manage, "Get a webhook", async call => Shown(await call.Get<WebhookStore>().FindAsync(call.Tenant, Id(call), call.Aborted)));
        routes.Patch("mlflow/webhooks/{webhook}", Permissions.Manage, "Change a webhook", UpdateAsync);
        routes.Delete("mlflow/webhooks/{webhook}", Permissions.Manage, "Delete a webhook", async call => ExperimentRoutes.Nothing(await call.Get<WebhookStore>().DeleteAsync(call.Tenant, Id(call), call.Aborted)));
        routes.Post("mlflow/webhooks/{webhook}/test", Permissions.Manage, "Test a webhook", TestAsync);
    }

    private static async Task<Result<object?>> CreateAsync(MlflowCall call)
    {
        var (name, url) = (call.Required("name"), call.Required("url"));
        var wanted = Read(call) with { Name = name, Url = url };
        if (wanted.Events is null) call.Refuse("Missing value for required parameter 'events'.");
        if (call.Wrong is { } wrong) return wrong;
        return Shown(await call.Get<WebhookStore>().CreateAsync(call.Tenant, wanted, call.Aborted));
    }

    private static async Task<Result<object?>> ListAsync(MlflowCall call)
    {
        var most = call.MaxResults(100, 1_000);
        var page = call.Take(ListPage.Read(call.Text("page_token")));
        if (call.Wrong is { } wrong) return wrong;
        var (items, next) = ListPage.Cut(await call.Get<WebhookStore>().ListAsync(call.Tenant, call.Aborted), page, most);
        return Result<object?>.Ok(new { Webhooks = MlflowJson.Unless<object>([.. items.Select(Of)]), NextPageToken = next });
    }

    private static async Task<Result<object?>> UpdateAsync(MlflowCall call)
    {
        var change = Read(call);
        if (call.Wrong is { } wrong) return wrong;
        return Shown(await UpdateWebhook.ChangeAsync(call.Get<WebhookStore>(), call.Get<IJobs>(), call.Tenant, Id(call), change, call.Aborted));
    }

    private static async Task<Result<object?>> TestAsync(MlflowCall call)
    {
        var chosen = call.Object("event", Event);
        if (call.Wrong is { } wrong) return wrong;
        var tested = await TestWebhook.SendAsync(call.Get<WebhookStore>(), call.Get<WebhookSender>(), call.Get<TimeProvider>(), call.Tenant, Id(call), chosen, call.Aborted);
        if (tested.Refusal is { } refusal) return refusal;
        var outcome = tested.Value;
        return Result<object?>.Ok(new { Result = new { outcome.Success, ResponseStatus = outcome.Status, ResponseBody = outcome.Body, ErrorMessage = outcome.Error } });
    }

    /// <summary>Clients send what they leave unchanged as nothing, or as an empty text.</summary>
    private static WebhookChange Read(MlflowCall call)
    {
        var events = call.Objects("events", Event);
        var status = call.Text("status");
        if (status is not (null or "" or "ACTIVE" or "DISABLED")) call.Refuse($"Invalid value '{status}' for parameter 'status' supplied: it is ACTIVE or DISABLED.");
        return new(NotEmpty(call.Text("name")), NotEmpty(call.Text("description")), NotEmpty(call.Text("url")), events.Count == 0 ? null : events, NotEmpty(call.Text("secret")),
            status is null or "" ? null : status == "ACTIVE");
    }

    private static string Event(MlflowCall call) => $"{call.Required("entity").ToLowerInvariant()}.{call.Required("action").ToLowerInvariant()}";

    private static string? NotEmpty(string? text) => text is { Length: > 0 } ? text : null;

    private static Guid Id(MlflowCall call) => WebhookView.IdOf((string)call.Context.Request.RouteValues["webhook"]!);

    private static Result<object?> Shown(Result<Webhook> webhook) => webhook.Refusal is { } refusal ? refusal : Result<object?>.Ok(new { Webhook = Of(webhook.Value) });

    private static object Of(Webhook w) => new
    {
        WebhookId = w.Id.ToString(),
        w.Name,
        w.Description,
        w.Url,
        Events = w.Events.Select(e => new { Entity = e.Split('.')[0].ToUpperInvariant(), Action = e.Split('.')[1].ToUpperInvariant() }),
        Status = w.Active ? "ACTIVE" : "DISABLED",
        CreationTimestamp = w.CreatedAt,
        LastUpdatedTimestamp = w.UpdatedAt,
    };
}
