using Marten;
using MediatR;
using Platform.Registry.Contracts;
using Platform.Registry.Models;

namespace Platform.Registry.Integration;

/// <summary>Two reads for any number of refs: the models, then the versions their aliases mean.</summary>
internal sealed class AnswerResolveVersions(IQuerySession session) : IRequestHandler<ResolveVersions, IReadOnlyList<ResolvedVersion>>
{
    public async Task<IReadOnlyList<ResolvedVersion>> Handle(ResolveVersions ask, CancellationToken ct)
    {
        string[] keys = [.. ask.Refs.Select(r => RegisteredModel.Key(r.Model)).Distinct()];
        var models = (await session.LoadManyAsync<RegisteredModel>(ct, keys)).Where(m => !m.Deleted).ToDictionary(m => m.Name);
        var wanted = ask.Refs.Select(r => models.TryGetValue(r.Model, out var model) ? VersionKey(model, r.AliasOrVersion) : null).ToList();
        string[] versionKeys = [.. wanted.OfType<string>().Distinct()];
        var versions = (await session.LoadManyAsync<ModelVersion>(ct, versionKeys)).ToDictionary(v => v.Id);
        return [.. ask.Refs.Zip(wanted, (r, key) =>
        {
            var version = key is null ? null : versions.GetValueOrDefault(key);
            return new ResolvedVersion(r, version?.Servable(), version?.Facts.Author, models.ContainsKey(r.Model), version?.WhyNotServed);
        })];
    }

    private static string? VersionKey(RegisteredModel model, string aliasOrVersion) =>
        model.Aliases.TryGetValue(aliasOrVersion, out var aliased) ? ModelVersion.Key(model.Name, aliased)
        : int.TryParse(aliasOrVersion, out var number) ? ModelVersion.Key(model.Name, number)
        : null;
}
