using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Platform.Host.Blobs;
using Platform.Kernel;
using Platform.Testing;

namespace Platform.Tests.Blobs;

public sealed class BlobCollectionTests
{
    private static readonly TimeSpan Grace = TimeSpan.FromHours(24);

    [Fact]
    public async Task What_is_put_again_or_named_again_before_its_time_is_over_stays()
    {
        var store = await Bench.NewAsync();
        var (again, renamed, gone) = (await store.PutAsync("again"), await store.PutAsync("renamed"), await store.PutAsync("gone"));
        store.Clock.Now += TimeSpan.FromMinutes(1);
        (await store.CollectAsync()).Marked.ShouldBe(3);
        store.Clock.Now += TimeSpan.FromHours(23);
        await store.PutAsync("again");
        store.Named.Add(renamed);
        (await store.CollectAsync()).ShouldBe(new BlobsCollected(1, 2, 0, 0));
        store.Clock.Now += TimeSpan.FromHours(1);
        var collected = await store.CollectAsync();
        (collected.Kept, collected.Marked, collected.Deleted).ShouldBe((1L, 1L, 1L));
        collected.BytesFreed.ShouldBeGreaterThan(4);
        store.Has(gone).ShouldBeFalse();
        store.Has(again).ShouldBeTrue();

        // Unnamed again, its time begins anew.
        store.Named.Clear();
        (await store.CollectAsync()).Deleted.ShouldBe(0);
        store.Clock.Now += Grace;
        (await store.CollectAsync()).Deleted.ShouldBe(2);
    }

    [Fact]
    public async Task An_upload_at_the_very_moment_of_the_sweep_finds_its_content_there_whoever_comes_first()
    {
        var store = await Bench.NewAsync();
        var began = store.Clock.Now;
        for (var round = 0; round < 40; round++)
        {
            // From the beginning each time: drafts go by the machine's clock, and would be old ones after some days of this one.
            store.Clock.Now = began;
            var hash = await store.PutAsync($"contested {round}");
            store.Clock.Now += TimeSpan.FromMinutes(1);
            await store.CollectAsync();
            store.Clock.Now += Grace;
            // Whichever is first: the upload's content is there when it is answered, and its name may follow.
            await Task.WhenAll(Task.Run(() => store.CollectAsync()), Task.Run(() => store.CollectAsync()), Task.Run(async () => await store.PutAsync($"contested {round}")));
            store.Has(hash).ShouldBeTrue();
            store.Named.Add(hash);
        }
    }

    [Fact]
    public async Task Killed_after_any_step_the_next_look_goes_on_and_takes_what_nobody_finished()
    {
        var store = await Bench.NewAsync();
        var (first, second) = (await store.PutAsync("first"), await store.PutAsync("second"));
        var upload = Guid.NewGuid();
        await store.Blobs.PutPartAsync(store.Tenant, upload, 1, new MemoryStream([1]), 10, default);
        await File.WriteAllTextAsync(Path.Combine(Directory.CreateDirectory(Path.Combine(store.Folder, store.Tenant, "drafts")).FullName, "half"), "half an upload");
        store.Clock.Now += TimeSpan.FromMinutes(1);
        await store.CollectAsync();
        // Killed in the middle of deleting: one is gone and its mark is not.
        File.Delete(store.PathOf(first));
        store.Clock.Now += TimeSpan.FromDays(3);
        var collected = await store.CollectAsync();
        (collected.Deleted, collected.Marked).ShouldBe((3L, 0L));
        store.Has(second).ShouldBeFalse();
        Directory.GetFiles(store.Folder, "*", SearchOption.AllDirectories).ShouldBeEmpty();
        (await store.CollectAsync()).ShouldBe(new BlobsCollected(0, 0, 0, 0));
    }

    [Fact]
    public async Task What_is_taken_back_goes_at_once_unless_it_was_there_before_or_was_put_again()
    {
        var store = await Bench.NewAsync();
        var refused = (await store.Blobs.PutAsync(store.Tenant, Content("refused"), 100, default)).Value;
        await store.Blobs.DiscardAsync(store.Tenant, refused, default);
        store.Has(refused.Sha256).ShouldBeFalse();

        var before = await store.PutAsync("before");
        store.Clock.Now += TimeSpan.FromSeconds(1);
        await store.Blobs.DiscardAsync(store.Tenant, (await store.Blobs.PutAsync(store.Tenant, Content("before"), 100, default)).Value, default);
        store.Has(before).ShouldBeTrue();

        var put = (await store.Blobs.PutAsync(store.Tenant, Content("again"), 100, default)).Value;
        store.Clock.Now += TimeSpan.FromSeconds(1);
        await store.PutAsync("again");
        await store.Blobs.DiscardAsync(store.Tenant, put, default);
        store.Has(put.Sha256).ShouldBeTrue();
    }

    private static MemoryStream Content(string text) => new(System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>A store of the test's own, by a clock of its own.</summary>
    private sealed record Bench(LocalBlobStore Blobs, BlobCollection Collection, string Folder, string Tenant, StoppedClock Clock, HashSet<string> Named) : IBlobNames
    {
        public static async Task<Bench> NewAsync()
        {
            var tenant = await TestTenant.NewAsync();
            var (services, clock, folder) = (tenant.App.Services, new StoppedClock(), Path.Combine(tenant.App.Data, $"blobs-{Guid.NewGuid():N}"));
            var (keys, database) = (services.GetRequiredService<ITenantKeys>(), services.GetRequiredService<NpgsqlDataSource>());
            var blobs = new LocalBlobStore(folder, keys, database, clock);
            var bench = new Bench(blobs, null!, folder, tenant.Id, clock, []);
            return bench with { Collection = new BlobCollection(blobs, database, [bench], clock) };
        }

        public async Task<string> PutAsync(string text) => (await Blobs.PutAsync(Tenant, Content(text), 1_000, default)).Value.Sha256;

        public Task<BlobsCollected> CollectAsync() => Collection.CollectAsync(Tenant, Grace, default);

        public string PathOf(string sha256) => Path.Combine(Folder, Tenant, sha256[..2], sha256);

        public bool Has(string sha256) => File.Exists(PathOf(sha256));

        public async IAsyncEnumerable<string> OfAsync(string tenant, [EnumeratorCancellation] CancellationToken ct)
        {
            await Task.CompletedTask;
            foreach (var name in Named) yield return name;
        }
    }
}
