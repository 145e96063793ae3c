using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Platform.Features.Datasets;
using Platform.Features.Datasets.Csv;
using Platform.Features.OnlineStore;
using Platform.Kernel;
using Platform.Kernel.Store;

namespace Platform.Features.FeatureViews;

/// <summary>Fills the online store for a view. Run again after a crash it begins from the start; readers see the old values or the new ones and never some of each.</summary>
internal sealed class Materialisation(TenantSessions sessions, DatasetFiles files, OnlineTable online, CallerScope scope, TimeProvider time) : IJob<Materialisation.Args>
{
    internal sealed record Args(string View, Guid Run);

    /// <summary>A longer key does not fit the store's index; nobody would type one.</summary>
    private const int LongestKey = 500;

    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);

    private long read;
    private long skipped;
    private DateTimeOffset reported;

    public async Task RunAsync(Args args, CancellationToken ct)
    {
        if (await BeginAsync(args, ct) is not { } run) return;
        try
        {
            if (await MaterialiseAsync(run, ct) is { } refusal) await EndAsync(run, MaterialisationStatus.Failed, "Failed", refusal, ct);
        }
        catch (Exception unexpected) when (unexpected is not OperationCanceledException)
        {
            // The queue runs it again; until then a person should not read that it is running.
            await EndAsync(run, MaterialisationStatus.Queued, "Something failed; it will be tried again", null, ct);
            throw;
        }
    }

    private async Task<MaterialisationRun?> BeginAsync(Args args, CancellationToken ct)
    {
        await using var session = sessions.OpenSession();
        if (await session.LoadAsync<MaterialisationRun>(args.View, ct) is not { HasEnded: false } run || run.Run != args.Run) return null;
        run = run with { Status = MaterialisationStatus.Running, Doing = "Starting", UpdatedAt = time.GetUtcNow() };
        session.Store(run);
        await session.SaveChangesAsync(ct);
        return run;
    }

    private async Task<Refusal?> MaterialiseAsync(MaterialisationRun run, CancellationToken ct)
    {
        await using var session = sessions.OpenSession();
        var found = await FoundViews.FindAsync(session, run.Id, ct);
        if (found.Refusal is { } noView) return noView;
        var view = found.Value;
        var dataset = await Dataset.FindAsync(session, view.Dataset, number: null, ct);
        if (dataset.Refusal is { } noDataset) return noDataset;
        var (_, version, profile) = dataset.Value;
        if (FeatureView.Judge(profile.Schema(), view.KeyColumn, view.Features, view.TimestampColumn) is { } amiss) return amiss;

        var columns = profile.Columns.Where(c => view.Features.Contains(c.Name)).Select(c => new OnlineColumn(c.Name, c.Type)).ToArray();
        var keys = await online.ReplaceAsync(scope.Current.Tenant, run.Id, columns, RowsAsync(run, view, version, profile, columns, ct), ct);

        var stream = await session.Events.FetchForExclusiveWriting<FeatureView>(view.Id, ct);
        if (stream.Aggregate is not { Deleted: false })
        {
            await online.RemoveAsync(scope.Current.Tenant, run.Id, ct);
            return Refusal.NotFound("feature view", run.Id);
        }

        stream.AppendOne(new FeatureViewMaterialised(version.Number, version.ContentSha256, keys, skipped));
        session.Store(run with { Status = MaterialisationStatus.Succeeded, Progress = 1, Doing = "Done", UpdatedAt = time.GetUtcNow() });
        session.Raise(new Signal(OnlineFeatures.Topic, scope.Current.Tenant, run.Id));
        await session.SaveChangesAsync(ct);
        return null;
    }

    private async IAsyncEnumerable<OnlineRow> RowsAsync(
        MaterialisationRun run, FeatureView view, DatasetVersion version, DatasetProfile profile, OnlineColumn[] columns, [EnumeratorCancellation] CancellationToken ct)
    {
        await using var csv = await CanonicalCsv.OpenAsync(await files.OpenAsync(version.ContentSha256, ct), ct);
        var key = csv.GetOrdinal(view.KeyColumn);
        int? timestamp = view.TimestampColumn is { } named ? csv.GetOrdinal(named) : null;
        var ordinals = columns.Select(c => csv.GetOrdinal(c.Name)).ToArray();
        using var buffer = new MemoryStream();
        await using var json = new Utf8JsonWriter(buffer);
        while (await csv.ReadAsync(ct))
        {
            read++;
            if (time.GetUtcNow() - reported > Beat) await ReportAsync(run, version.Rows, ct);
            if (csv.GetString(key) is not { Length: > 0 and <= LongestKey } name)
            {
                skipped++;
                continue;
            }

            json.WriteStartObject();
            for (var i = 0; i < columns.Length; i++) WriteValue(json, columns[i], csv.GetFieldSpan(ordinals[i]));
            json.WriteEndObject();
            await json.FlushAsync(ct);
            yield return new OnlineRow(name, Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length), timestamp is { } at ? TimeOf(csv.GetFieldSpan(at)) : null);
            buffer.SetLength(0);
            json.Reset(buffer);
        }
    }

    /// <summary>Missing values are left out; the reader knows the columns.</summary>
    private static void WriteValue(Utf8JsonWriter json, OnlineColumn column, ReadOnlySpan<char> field)
    {
        switch (CellValue.Of(column.Type, field))
        {
            case double number: json.WriteNumber(column.Name, number); break;
            case bool flag: json.WriteBoolean(column.Name, flag); break;
            case string text: json.WriteString(column.Name, text); break;
        }
    }

    private static DateTime? TimeOf(ReadOnlySpan<char> field) =>
        field.IsEmpty ? null : DateTime.Parse(field, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);

    private async Task ReportAsync(MaterialisationRun run, long rows, CancellationToken ct)
    {
        reported = time.GetUtcNow();
        await using var session = sessions.OpenSession();
        // Writing what was read takes about as long again.
        session.Store(run with { Progress = 0.5 * read / rows, Doing = $"Read {read:N0} of {rows:N0} rows", UpdatedAt = reported });
        await session.SaveChangesAsync(ct);
    }

    private async Task EndAsync(MaterialisationRun run, MaterialisationStatus status, string doing, Refusal? refusal, CancellationToken ct)
    {
        await using var session = sessions.OpenSession();
        session.Store(run with
        {
            Status = status,
            Doing = doing,
            UpdatedAt = time.GetUtcNow(),
            Failure = refusal is null ? null : new MaterialisationFailure(refusal.Code, refusal.Detail, refusal.Field, refusal.Mend),
        });
        await session.SaveChangesAsync(ct);
    }
}
