using System.Runtime.CompilerServices;
using Marten;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Models;
using Platform.Registry.Tracking;
using static Platform.Registry.Tracking.TrackingDatabase;

namespace Platform.Registry.Retention;

/// <summary>Which blobs the registry needs: those of artifacts, those its documents mention (versions' files, training logs), and the members of composites, which stay
/// although their own versions may have been deleted.</summary>
internal sealed class RegistryBlobNames(TrackingDatabase database, IDocumentStore store, IBlobStore blobs) : IBlobNames
{
    public async IAsyncEnumerable<string> OfAsync(string tenant, [EnumeratorCancellation] CancellationToken ct)
    {
        var named = await database.ReadAsync(tenant,
            [Sql("select sha256 from registry.artifacts where tenant_id = $1 union select registry.hashes_in_documents()", tenant)], row => row.GetString(0), ct, Planning.Free, patience: 600);
        foreach (var sha256 in named) yield return sha256;

        await using var session = store.QuerySession(tenant);
        var composites = new Queue<string>((await session.Query<ModelVersion>().Where(v => v.Facts.Kind == ArtifactKind.Composite).ToListAsync(ct)).Select(v => v.Facts.ArtifactSha256));
        HashSet<string> read = [];
        while (composites.TryDequeue(out var composite))
        {
            if (!read.Add(composite)) continue;
            using var descriptor = new MemoryStream();
            await using (var content = await blobs.OpenAsync(tenant, composite, ct)) await content.CopyToAsync(descriptor, ct);
            foreach (var member in CompositeDescriptor.Of(descriptor.ToArray()).Members)
            {
                yield return member.ArtifactSha256;
                if (member.Kind is ArtifactKind.Composite) composites.Enqueue(member.ArtifactSha256);
            }
        }
    }
}
