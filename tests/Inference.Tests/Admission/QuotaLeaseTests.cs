using Inference.Tests.Journal;
using Microsoft.Extensions.Logging.Abstractions;
using Platform.Inference.Predict.Admission;
using Platform.Kernel;

namespace Inference.Tests.Admission;

/// <summary>Several servers on one database, without their hosts: each <see cref="QuotaLeases"/> is one server.</summary>
public sealed class QuotaLeaseTests
{
    private const string Tenant = "t";

    [Fact]
    public async Task A_quota_is_used_to_the_last_unit_and_never_beyond_by_many_callers_on_several_servers_at_once()
    {
        await using var database = await JournalDatabase.CreateAsync();
        TenantQuota[] servers = [Server(database), Server(database), Server(database)];
        var kept = 0;
        await Parallel.ForAsync(0, 2000, async (i, _) =>
        {
            var taken = await servers[i % 3].TakeAsync("plan", 1000, 3, default);
            if (!taken.IsOk) return;
            if (i % 5 == 0) taken.Value.GiveBack();
            else Interlocked.Add(ref kept, 3);
        });
        kept.ShouldBeLessThanOrEqualTo(1000);
        // Each gives back what it does not use, and then any of them can have it.
        await IdleAsync(servers);
        while ((await servers[0].TakeAsync("plan", 1000, 1, default)).IsOk) kept++;
        kept.ShouldBe(1000);
        foreach (var server in servers) (await server.TakeAsync("plan", 1000, 1, default)).Refusal!.Code.ShouldBe("monthly-quota-reached");
    }

    [Fact]
    public async Task A_server_that_dies_costs_its_lease_until_it_runs_out_and_nothing_after_that()
    {
        await using var database = await JournalDatabase.CreateAsync();
        var clock = new StoppedClock { Now = DateTimeOffset.UtcNow };
        var (dead, living) = (Server(database), Server(database, clock));
        for (var i = 0; i < 4; i++) (await dead.TakeAsync("plan", 500, 1, default)).IsOk.ShouldBeTrue();
        var got = 0;
        while ((await living.TakeAsync("plan", 500, 1, default)).IsOk) got++;
        got.ShouldBeInRange(500 - (2 * (int)TenantQuota.PieceOf(500)), 499);
        var refusal = (await living.TakeAsync("plan", 500, 1, default)).Refusal!;
        refusal.Detail.ShouldBe("The plan 'plan' allows 500 predictions a month; 500 are used or set aside for calls under way and this call asks for 1.");
        refusal.RetryAfter.ShouldBe(TenantQuota.KeptEvery);

        await JournalDatabase.ExecuteAsync(database.Superuser, $"update inference.quota_leases set until = now() - interval '1 s' where units < {got}");
        clock.Now += TimeSpan.FromSeconds(1);
        while ((await living.TakeAsync("plan", 500, 1, default)).IsOk) got++;
        got.ShouldBe(500);
    }

    [Fact]
    public async Task What_the_journal_has_is_used_and_a_new_server_begins_from_there()
    {
        await using var database = await JournalDatabase.CreateAsync();
        await RecordAsync(database, 7);
        var server = Server(database);
        var refusal = (await server.TakeAsync("free", 10, 4, default)).Refusal!;
        refusal.Detail.ShouldBe("The plan 'free' allows 10 predictions a month; 7 are used and this call asks for 4.");
        refusal.RetryAfter!.Value.ShouldBeInRange(TimeSpan.Zero, TimeSpan.FromDays(31));
        (await server.TakeAsync("free", 10, 3, default)).IsOk.ShouldBeTrue();
    }

    [Fact]
    public async Task The_quota_begins_anew_with_the_month_and_what_is_given_back_goes_to_its_own_month()
    {
        await using var database = await JournalDatabase.CreateAsync();
        var clock = new StoppedClock { Now = new DateTimeOffset(2026, 7, 31, 23, 59, 59, TimeSpan.Zero) };
        var server = Server(database, clock);
        var taken = await server.TakeAsync("plan", 10, 10, default);
        taken.IsOk.ShouldBeTrue();
        clock.Now += TimeSpan.FromSeconds(1);
        (await server.TakeAsync("plan", 10, 4, default)).IsOk.ShouldBeTrue();
        taken.Value.GiveBack();
        (await server.TakeAsync("plan", 10, 7, default)).IsOk.ShouldBeFalse();
        (await server.TakeAsync("plan", 10, 6, default)).IsOk.ShouldBeTrue();
    }

    [Fact]
    public async Task A_smaller_quota_holds_for_what_was_leased_under_the_larger_one()
    {
        await using var database = await JournalDatabase.CreateAsync();
        var server = Server(database);
        (await server.TakeAsync("large", 1000, 1, default)).IsOk.ShouldBeTrue();
        (await server.TakeAsync("small", 2, 1, default)).IsOk.ShouldBeTrue();
        (await server.TakeAsync("small", 2, 1, default)).IsOk.ShouldBeFalse();
    }

    [Fact]
    public async Task At_the_end_a_server_leaves_nothing_set_aside()
    {
        await using var database = await JournalDatabase.CreateAsync();
        var server = Server(database);
        (await server.TakeAsync("plan", 1000, 1, default)).Value.Settle();
        (await database.AskAsync<long>(Tenant, "select count(*) from inference.quota_leases")).ShouldBe(1);
        await server.EndAsync();
        (await database.AskAsync<long>(Tenant, "select count(*) from inference.quota_leases")).ShouldBe(0);
    }

    [Fact]
    public async Task A_tenants_leases_are_hidden_from_others()
    {
        await using var database = await JournalDatabase.CreateAsync();
        (await Server(database).TakeAsync("plan", 1000, 1, default)).IsOk.ShouldBeTrue();
        (await database.AskAsync<long>("other", "select count(*) from inference.quota_leases")).ShouldBe(0);
        await Should.ThrowAsync<Npgsql.PostgresException>(database.AskAsync<long>("other",
            $"insert into inference.quota_leases values ('{Tenant}', '2026-01-01', gen_random_uuid(), 1, now()) returning units"));
    }

    [Fact]
    public async Task Without_the_database_a_call_beyond_the_lease_is_refused_as_unavailable_and_not_as_used_up()
    {
        await using var nowhere = Npgsql.NpgsqlDataSource.Create("Host=127.0.0.1;Port=1;Username=x;Timeout=2");
        var quota = new TenantQuota(new QuotaLeases(nowhere, NullLogger<QuotaLeases>.Instance).For(Tenant), TimeProvider.System);
        var refusal = (await quota.TakeAsync("plan", 10, 1, default)).Refusal!;
        (refusal.Kind, refusal.Code).ShouldBe((RefusalKind.Unavailable, "quota-unavailable"));
    }

    private static TenantQuota Server(JournalDatabase database, TimeProvider? time = null) =>
        new(new QuotaLeases(database.App, NullLogger<QuotaLeases>.Instance).For(Tenant), time ?? TimeProvider.System);

    /// <summary>Two rounds without a call.</summary>
    private static async Task IdleAsync(TenantQuota[] servers)
    {
        for (var round = 0; round < 2; round++)
        {
            foreach (var server in servers) await server.KeepAsync();
        }
    }

    private static async Task RecordAsync(JournalDatabase database, int units)
    {
        using var journal = new Platform.Inference.Predict.Journal.JournalWriter(database.App, new(), TimeProvider.System, NullLogger<Platform.Inference.Predict.Journal.JournalWriter>.Instance);
        await journal.StartAsync(default);
        await journal.WriteAsync(journal.Entry(Tenant, units));
        await journal.StopAsync(default);
    }
}
