using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Platform.Tests.Tenancy;

/// <summary>A tenant that has been through the main job: one of everything that can have an id.</summary>
/// <param name="Ids">By route parameter; <c>id</c> by the resource it stands in.</param>
internal sealed record WholeTenant(TestTenant Tenant, IReadOnlyDictionary<string, string> Ids)
{
    public const string Model = "price", Endpoint = "price-live", Dataset = "sales", View = "houses", Entity = "house";

    private static readonly Lazy<Task<WholeTenant>> Shared = new(() => BuildAsync());

    /// <summary>One for all tests that only look, or only add to it: with predictions, a refusal and a materialised feature view to look at.</summary>
    public static Task<WholeTenant> SharedAsync() => Shared.Value;

    public static async Task<WholeTenant> BuildAsync(PlatformApp? on = null)
    {
        var tenant = await TestTenant.NewAsync(on);
        Dictionary<string, string> ids = new()
        {
            ["tenant"] = tenant.Id,
            ["keyId"] = tenant.DeveloperKey.Split('.')[1],
            ["model"] = Model,
            ["version"] = "1",
            ["alias"] = "champion",
            ["dataset"] = Dataset,
            ["view"] = View,
            ["featureView"] = View,
            ["entity"] = Entity,
            ["endpoint"] = Endpoint,
        };
        var person = await (await tenant.Admin.PostAsJsonAsync($"api/v1/tenancy/tenants/{tenant.Id}/people", new { email = $"{Guid.NewGuid():N}@example.test", name = "A Person", role = "viewer" })).ShouldBeAsync(201);
        ids["personId"] = person.GetProperty("personId").GetString()!;

        await UploadAsync(tenant, Csv(400));
        var job = await (await tenant.Developer.PostAsJsonAsync("api/v1/registry/training-jobs", new { dataset = Dataset, target = "price", model = Model })).ShouldBeAsync(202);
        ids["training-jobs/id"] = job.GetProperty("id").GetString()!;
        var done = await Eventually.BecomesAsync("the training to end", () => StateAsync(tenant, $"api/v1/registry/training-jobs/{ids["training-jobs/id"]}"), s => s.GetProperty("status").GetString() is "succeeded" or "failed");
        done.GetProperty("status").GetString().ShouldBe("succeeded", done.ToString());

        var approval = await (await tenant.Developer.PostAsJsonAsync("api/v1/governance/approvals", new { model = Model, version = 1 })).ShouldBeAsync(201);
        ids["approvals/id"] = approval.GetProperty("id").GetString()!;
        await (await tenant.Admin.PostAsJsonAsync($"api/v1/governance/approvals/{ids["approvals/id"]}/grant", new { })).ShouldBeAsync(200);
        await (await tenant.Developer.PutAsJsonAsync($"api/v1/registry/models/{Model}/aliases/champion", new { version = 1 })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/inference/endpoints", new { name = Endpoint, model = Model, alias = "champion" })).ShouldBeAsync(201);
        var prediction = await (await tenant.Developer.PostAsJsonAsync($"api/v1/inference/endpoints/{Endpoint}/predict", new { inputs = Row })).ShouldBeAsync(200);
        ids["predictions/id"] = prediction.GetProperty("id").GetString()!;

        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/entities", new { name = Entity, description = "A house" })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsJsonAsync("api/v1/features/feature-views", new { name = View, entity = Entity, dataset = Dataset, keyColumn = "house_id", features = new[] { "area" } })).ShouldBeAsync(201);
        await (await tenant.Developer.PostAsync($"api/v1/features/feature-views/{View}/materialise", null)).ShouldBeAsync(202);
        await Eventually.BecomesAsync("the view to be materialised", () => StateAsync(tenant, $"api/v1/features/feature-views/{View}"), view => view.GetProperty("materialised").ValueKind is not JsonValueKind.Null);
        await (await tenant.Developer.PostAsJsonAsync($"api/v1/inference/endpoints/{Endpoint}/predict", new { inputs = Enumerable.Repeat(Row, 7) })).ShouldBeAsync(200);
        await (await tenant.Developer.PostAsJsonAsync($"api/v1/inference/endpoints/{Endpoint}/predict", new { inputs = new { aria = 120.0 } })).ShouldBeAsync(400);
        ids["experiment"] = (await MlflowAsync(tenant, "experiments/create", new { name = "prices" })).GetProperty("experiment_id").GetString()!;
        ids["run"] = (await MlflowAsync(tenant, "runs/create", new { experiment_id = ids["experiment"] })).GetProperty("run").GetProperty("info").GetProperty("run_id").GetString()!;
        (ids["experiments/id"], ids["runs/id"]) = (ids["experiment"], ids["run"]);
        await (await tenant.Developer.PutAsJsonAsync($"api/v1/registry/experiments/{ids["experiment"]}/views/{View}", new { filter = "metrics.rmse < 2" })).ShouldBeAsync(200);
        await MlflowAsync(tenant, "runs/log-batch", new { run_id = ids["run"], metrics = new[] { new { key = "rmse", value = 1.5, timestamp = 1, step = 0 } }, @params = new[] { new { key = "depth", value = "6" } } });
        return new(tenant, ids);
    }

    private static async Task<JsonElement> MlflowAsync(TestTenant tenant, string path, object body) => await (await tenant.Developer.PostAsJsonAsync($"mlflow/api/2.0/mlflow/{path}", body)).ShouldBeAsync(200);

    /// <summary>A row as the friendly call takes it.</summary>
    public static object Row { get; } = new { sold_on = "2024-03-01", area = 120.0, rooms = 4, town = "north" };

    public static async Task<JsonElement> StateAsync(TestTenant tenant, string path) => await (await tenant.Developer.GetAsync(path)).ShouldBeAsync(200);

    public static async Task UploadAsync(TestTenant tenant, string csv)
    {
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(csv)) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        await (await tenant.Developer.PostAsync($"api/v1/features/datasets?name={Dataset}", content)).ShouldBeAsync(201);
    }

    private static readonly string[] Towns = ["north", "south", "west"];

    /// <summary>Sales whose price follows their area, rooms, town and month, with a little noise; the same each time.</summary>
    public static string Csv(int rows)
    {
        var random = new Random(7);
        var csv = new StringBuilder("house_id,sold_on,area,rooms,town,price\n");
        for (var i = 0; i < rows; i++)
        {
            var (area, rooms, town) = (60 + (random.NextDouble() * 140), random.Next(1, 7), random.Next(3));
            var price = (area * 2000) + (rooms * 9000) + (town * 40_000) + (random.NextDouble() * 10_000);
            csv.AppendLine($"H{i},{new DateOnly(2023, 1, 1).AddDays(i):yyyy-MM-dd},{area:F1},{rooms},{Towns[town]},{price:F0}");
        }

        return csv.ToString().Replace("\r\n", "\n");
    }
}
