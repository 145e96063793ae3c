using System.Text;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Testing;

namespace Features.Tests.Datasets;

public sealed class DatasetTests
{
    [Fact]
    public async Task Another_tenants_dataset_is_not_there()
    {
        var (mine, theirs) = (await TestTenant.NewAsync(), await TestTenant.NewAsync());
        await theirs.HasDatasetAsync("sales");

        foreach (var path in (string[])["sales", "sales/rows", "sales/quarantine"])
        {
            await (await mine.Admin.GetAsync($"api/v1/features/datasets/{path}")).ShouldRefuseAsync(404, "no-such-dataset");
        }

        await (await mine.Admin.DeleteAsync("api/v1/features/datasets/sales")).ShouldRefuseAsync(404, "no-such-dataset");
        (await mine.HasDatasetAsync("sales")).Number("version").ShouldBe(1);
    }

    [Fact]
    public async Task A_deleted_dataset_is_gone_its_files_follow_when_their_time_is_over_and_its_name_can_be_used_again()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("sales");
        await tenant.HasDatasetAsync("sales", "id,price\nH9,1\n");
        tenant.Files().Length.ShouldBe(2);

        await (await tenant.Developer.DeleteAsync("api/v1/features/datasets/sales")).ShouldBeAsync(204);

        await (await tenant.Developer.GetAsync("api/v1/features/datasets/sales")).ShouldRefuseAsync(404, "no-such-dataset");
        await (await tenant.Developer.DeleteAsync("api/v1/features/datasets/sales")).ShouldRefuseAsync(404, "no-such-dataset");
        (await tenant.Developer.GetJsonAsync("api/v1/features/datasets")).GetArrayLength().ShouldBe(0);
        await CollectAsync(tenant);
        tenant.Files().ShouldBeEmpty();
        (await tenant.HasDatasetAsync("sales")).Number("version").ShouldBe(3);
    }

    [Fact]
    public async Task Deleting_a_dataset_keeps_the_files_that_another_has_too()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("sales");
        await tenant.HasDatasetAsync("copy");

        await (await tenant.Developer.DeleteAsync("api/v1/features/datasets/sales")).ShouldBeAsync(204);

        await CollectAsync(tenant);
        (await tenant.Developer.GetJsonAsync("api/v1/features/datasets/copy/rows")).GetProperty("rows").GetArrayLength().ShouldBe(3);
    }

    /// <summary>Looks for content that nobody names, and again when its grace period is over.</summary>
    private static async Task CollectAsync(TestTenant tenant)
    {
        var clock = new StoppedClock();
        for (var look = 0; look < 2; look++)
        {
            clock.Now += TimeSpan.FromHours(25);
            await tenant.App.CollectionAt(clock).CollectAsync(tenant.Id, TimeSpan.FromHours(24), default);
        }
    }

    [Theory]
    [InlineData("rows?limit=0", "limit")]
    [InlineData("rows?limit=1001", "limit")]
    [InlineData("quarantine?limit=0", "limit")]
    [InlineData("quarantine?offset=-1", "offset")]
    public async Task A_page_beyond_reason_is_refused(string path, string field)
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("sales");

        (await (await tenant.Viewer.GetAsync($"api/v1/features/datasets/sales/{path}")).ShouldRefuseAsync(400, "invalid-field")).Text("field").ShouldBe(field);
    }

    [Fact]
    public async Task A_dataset_without_bad_rows_has_an_empty_quarantine()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("sales");

        (await tenant.Viewer.GetJsonAsync("api/v1/features/datasets/sales/quarantine")).GetProperty("rows").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task Another_module_opens_the_rows_in_canonical_form_and_any_version_of_them()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.HasDatasetAsync("sales", "id;price\nH1;1.50\n");
        await tenant.HasDatasetAsync("sales");

        var newest = await AskAsync(tenant, new OpenDataset("sales"));
        var first = await AskAsync(tenant, new OpenDataset("sales", Version: 1));

        newest.Value.Rows.ShouldBe(3);
        newest.Value.Columns.Single(c => c.Name == "area").ShouldBe(new DatasetColumn("area", DatasetColumnType.Number, Missing: 1, Distinct: 2));
        await using var csv = await first.Value.OpenCsv(CancellationToken.None);
        (await new StreamReader(csv, Encoding.UTF8).ReadToEndAsync()).ShouldBe("id,price\nH1,1.5\n");
        (await AskAsync(tenant, new OpenDataset("sales", Version: 3))).Refusal!.Code.ShouldBe("no-such-dataset-version");
        (await AskAsync(tenant, new OpenDataset("sails"))).Refusal!.Field.ShouldBe("dataset");
    }

    private static async Task<Result<T>> AskAsync<T>(TestTenant tenant, IRequest<Result<T>> request)
    {
        await using var scope = tenant.App.Services.CreateAsyncScope();
        scope.ServiceProvider.GetRequiredService<CallerScope>().Begin(Caller.System(tenant.Id));
        return await scope.ServiceProvider.GetRequiredService<IMediator>().Send(request);
    }
}
