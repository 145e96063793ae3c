using JasperFx;
using JasperFx.Events;
using JasperFx.MultiTenancy;
using Marten;
using Npgsql;
using Platform.Host.Writes;
using Platform.Kernel;
using Platform.Kernel.Store;
using Weasel.Core;

namespace Platform.Host.Store;

/// <summary>The one store: conjoined tenancy everywhere, one <c>events</c> schema, a document schema per module. Used three times with
/// three roles: the application, the daemon, and the owner who applies the schema.</summary>
internal static class StoreSetup
{
    public const string TenantSetting = "app.tenant_id";

    public static void Configure(StoreOptions store, NpgsqlDataSource dataSource, IEnumerable<IModule> modules)
    {
        store.Connection(dataSource);
        store.AutoCreateSchemaObjects = AutoCreate.None;
        store.DatabaseSchemaName = "platform";
        store.UseSystemTextJsonForSerialization(EnumStorage.AsString, Casing.CamelCase);

        store.Policies.AllDocumentsAreMultiTenanted();
        store.Advanced.DefaultTenantUsageEnabled = false;
        store.UseRowLevelSecurity(TenantSetting);

        store.Events.DatabaseSchemaName = "events";
        store.Events.TenancyStyle = TenancyStyle.Conjoined;
        store.Events.StreamIdentity = StreamIdentity.AsString;
        store.Events.UseMandatoryStreamTypeDeclaration = true;
        store.Events.MetadataConfig.UserNameEnabled = true;
        store.Events.MetadataConfig.CorrelationIdEnabled = true;
        store.Events.MetadataConfig.HeadersEnabled = true;

        // By default the daemon skips what it cannot apply; an audit trail with holes would be worse than a stopped shard.
        store.Projections.Errors.SkipApplyErrors = false;
        store.Projections.Errors.SkipSerializationErrors = false;
        store.Projections.Errors.SkipUnknownEvents = false;

        store.Document<IdempotentCall>("platform");
        foreach (var module in modules) module.ConfigureStore(store);
    }
}
