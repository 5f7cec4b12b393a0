//! Every sentence of the page, in all languages beside each other.
//!
//! Each is a method of [`Language`] with typed arguments. A line without one of the languages does not compile.

use super::language::Language;

macro_rules! texts {
    ($($name:ident($($argument:ident: $type:ty),*): $english:literal, $chinese:literal;)*) => {
        impl Language {
            $(
                pub(crate) fn $name(self, $($argument: $type),*) -> String {
                    match self {
                        Self::English => format!($english),
                        Self::TraditionalChinese => format!($chinese),
                    }
                }
            )*
        }

        /// The name of each text, with the text in each language.
        #[cfg(test)]
        const ALL: &[(&str, [&str; 2])] = &[$((stringify!($name), [$english, $chinese])),*];
    };
}

texts! {
    // The frame of every page.
    skip(): "Skip to the content", "跳至內容";
    menu(): "Pages", "頁面";
    repositories(): "Repositories", "儲存庫";
    log_in(): "Log in", "登入";
    log_out(): "Log out", "登出";
    logged_in_as(user: &str): "Logged in as {user}", "已登入：{user}";
    settings(): "Language and theme", "語言與主題";
    language(): "Language", "語言";
    browser_language(): "Browser setting", "跟隨瀏覽器";
    theme(): "Theme", "主題";
    theme_auto(): "System setting", "跟隨系統";
    theme_light(): "Light", "淺色";
    theme_dark(): "Dark", "深色";
    apply(): "Apply", "套用";
    you_are_here(): "Where you are", "目前位置";

    // The list of repositories.
    search(): "Search", "搜尋";
    search_repositories(): "Find a repository", "尋找儲存庫";
    search_tags(): "Find a tag", "尋找標籤";
    name(): "Name", "名稱";
    size(): "Size", "大小";
    repository_count(count: usize): "Repositories on this page: {count}", "本頁儲存庫：{count}";
    next_page(): "Next page", "下一頁";
    first_page(): "First page", "第一頁";
    no_repositories(): "There is nothing here yet.", "目前沒有任何內容。";
    no_repositories_visible(): "No repository is visible to you.", "沒有你可檢視的儲存庫。";
    push_first(): "To push the first image:", "推送第一個映像：";
    nothing_found(text: &str): "No name contains “{text}”.", "名稱中沒有「{text}」。";
    not_all_searched(count: usize): "{count} repositories were looked at; the next page continues.", "已查看 {count} 個儲存庫；下一頁會繼續。";
    not_all_looked_at(count: usize): "{count} repositories were looked at; the first survey of the store finds the others.", "已查看 {count} 個儲存庫；首次統計儲存後端後會找到其餘的。";
    all_repositories(): "Show all repositories", "顯示所有儲存庫";
    all_tags(): "Show all tags", "顯示所有標籤";
    unknown_sort(sort: &str): "“{sort}” is not a sort order; the default is used.", "沒有「{sort}」排序，現採用預設排序。";

    last_push(): "Last push", "最近推送";
    figures_as_of(): "Figures as of", "統計截至";
    look_now(): "List the store directly", "直接列出儲存後端";
    no_figures(): "Sizes are known after the first survey of the store, within minutes.", "首次統計完成後（數分鐘內）才有大小資料。";

    // Storage.
    storage(): "Storage", "儲存空間";
    stored(): "Stored", "已儲存";
    linked(): "In repositories", "儲存庫使用";
    unlinked(): "In no repository", "沒有儲存庫使用";
    images(): "Images", "映像";
    largest(): "The largest repositories", "最大的儲存庫";
    own_size(): "Only here", "獨有";
    shared_size(): "Shared with others", "與其他共用";
    beside_largest(): "Compared with the largest", "與最大者相比";

    // The list of tags.
    tags(): "Tags", "標籤";
    tag(): "Tag", "標籤";
    image(): "Image", "映像";
    pushed(): "Pushed", "推送時間";
    created(): "Created", "建立時間";
    version(): "Version", "版本";
    platforms(): "Platforms", "平台";
    digest(): "Digest", "摘要";
    kind(): "Type", "類型";
    tag_count(count: usize): "Tags: {count}", "標籤數目：{count}";
    no_tags(): "No tag is here. Images may still be there by digest.", "沒有標籤，但仍可能有只以摘要存取的映像。";
    sizes_unknown(count: usize): "Tags whose size is not known yet: {count}. They come last; the first page learns more each time.",
        "大小尚未得知的標籤：{count}，排在最後；每次查看第一頁會得知更多。";
    same_image(tags: &str): "Same image as {tags}", "映像相同：{tags}";
    list_separator(): ", ", "、";
    and_more(count: usize): "and {count} more", "及另外 {count} 項";
    unknown(): "unknown", "不明";
    pull(): "Pull", "拉取";
    copy(): "Copy", "複製";
    copied(): "Copied", "已複製";
    damaged(): "This image is damaged or incomplete.", "此映像已損壞或不完整。";

    // The kinds of manifests.
    kind_image(): "Image", "映像";
    kind_index(): "Index", "映像索引";
    kind_chart(): "Helm chart", "Helm chart";
    kind_artifact(): "Artifact", "製品";
    kind_signature(): "Signature", "簽署";
    kind_sbom(): "SBOM", "SBOM";
    kind_attestation(): "Attestation", "證明";
    kind_unknown(): "Unknown type", "不明類型";

    // An image.
    overview(): "Overview", "概覽";
    layers(): "Layers", "層";
    layer_count(count: usize): "Layers: {count}", "層數：{count}";
    history(): "How it was built", "建置過程";
    history_of_tag(tag: &str): "Earlier images of {tag}", "{tag} 的舊映像";
    gone(): "gone", "已不存在";
    configuration(): "Configuration", "設定";
    annotations(): "Annotations", "註解";
    labels(): "Labels", "標示";
    referrers(): "Attached artifacts", "附屬內容";
    no_referrers(): "Nothing is attached: no signature, no SBOM.", "沒有附屬內容，即沒有簽署或 SBOM。";
    subject(): "Attached to", "附屬於";
    children(): "Images for each platform", "各平台的映像";
    missing_child(): "not in this registry", "不在此映像倉庫";
    raw_manifest(): "Manifest as it is stored", "原始 manifest";
    media_type(): "Media type", "媒體類型";
    artifact_type(): "Artifact type", "製品類型";
    number(): "No.", "編號";
    command(): "Command", "指令";
    key(): "Key", "鍵";
    value(): "Value", "值";
    empty_layer(): "no layer", "沒有層";
    entrypoint(): "Entrypoint", "進入點";
    user(): "User", "使用者";
    working_directory(): "Working directory", "工作目錄";
    environment(): "Environment", "環境變數";
    ports(): "Ports", "連接埠";
    volumes(): "Volumes", "資料卷";
    not_shown(count: usize): "{count} more are not shown.", "另有 {count} 項未顯示。";
    config_unread(): "The configuration is too large to show, or not JSON.", "設定過大，或並非 JSON，無法顯示。";
    config_missing(): "The configuration is not in this registry.", "設定不在此映像倉庫。";

    other_images(): "In other images", "其他映像";
    other_images_of(count: u64, layer: &str): "Images that have the layer {layer} too: {count}", "同樣有 {layer} 層的映像：{count}";
    other_images_as_of(): "Other images as of", "其他映像統計截至";
    layer(digest: &str): "Layer {digest}", "層 {digest}";
    images_with_layer(count: u64): "Images that have this layer: {count}", "有此層的映像：{count}";
    no_images_with_layer(): "No image that you may see has this layer.", "你可檢視的映像均沒有此層。";
    layers_not_known(): "What images share is known some minutes after the registry starts.", "映像倉庫啟動數分鐘後才會得知映像共用的層。";
    images_not_counted(count: u64): "There are so many images that {count} were not looked at.", "映像太多，有 {count} 個未有查看。";
    repository(): "Repository", "儲存庫";

    // Comparison.
    compare(): "Compare", "比較";
    compare_with(): "Compare with…", "與其他映像比較…";
    compare_images(): "Compare two images", "比較兩個映像";
    first_image(): "First image: a tag or digest", "第一個映像：標籤或摘要";
    second_image(): "Second image: a tag or digest", "第二個映像：標籤或摘要";
    no_reference(text: &str): "“{text}” is neither a tag nor a digest.", "「{text}」並非標籤或摘要。";
    choose_platform(): "Choose a platform", "選擇平台";
    only_in(image: &str): "only in {image}", "只在 {image}";
    no_platform(platform: &str): "The images do not both have the platform {platform}.", "兩個映像並非都有 {platform} 平台。";
    same_both(): "Both are the same image.", "兩者為同一映像。";
    difference(): "Difference", "差異";
    difference_count(count: usize): "Differences: {count}", "差異：{count}";
    differs(): "differs", "不同";
    layers_only(image: &str, count: usize, size: &str): "Only in {image}: {count}, {size}", "只在 {image}：{count} 層，{size}";
    layers_common(count: usize, size: &str): "In both: {count}, {size}", "兩者共有：{count} 層，{size}";
    layers_reordered(): "Both have the same layers, in another order or number.", "兩者的層相同，但次序或數目不同。";

    // Login.
    user_name(): "User name", "使用者名稱";
    password(): "Password or token", "密碼或權杖";
    wrong_login(): "Unknown user or wrong password.", "使用者不存在或密碼錯誤。";
    session_over(): "Log in to continue. Your session has ended, or you are not logged in yet.", "請登入以繼續：工作階段已結束，或你尚未登入。";
    too_many(seconds: u64): "Too many logins failed. Try again in {seconds} seconds.", "登入失敗次數過多，請於 {seconds} 秒後再試。";
    login_unavailable(): "Logins cannot be checked at the moment. The log has the reason.", "暫時無法核對登入，原因見記錄。";
    login_needs_both(): "Enter the user name and the password.", "請填寫使用者名稱及密碼。";

    // Deletion.
    delete(): "Delete", "刪除";
    delete_selected(): "Delete the selected tags…", "刪除所選標籤…";
    delete_all(): "Delete the repository…", "刪除儲存庫…";
    delete_tags(): "Delete tags", "刪除標籤";
    delete_repository(name: &str): "Delete {name}", "刪除 {name}";
    delete_disabled(): "Deletion is off. The key storage.delete.enabled turns it on.",
        "刪除功能已關閉，可用 storage.delete.enabled 開啟。";
    read_only(): "The registry is read-only.", "映像倉庫為唯讀。";
    select_tag(tag: &str): "Select {tag}", "選取 {tag}";
    select_all(): "Select all on this page", "選取本頁全部";
    select(): "Select", "選取";
    nothing_changed_yet(): "Nothing is deleted yet. This is what would happen:", "尚未刪除任何內容。以下是刪除的後果：";
    tags_go(count: usize): "Tags to delete: {count}", "將刪除的標籤：{count}";
    tags_stay(): "Tags of the same images that stay", "同一映像保留的標籤";
    images_lose(count: usize): "Images left without a tag: {count}", "再無標籤指向的映像：{count}";
    images_keep(): "Each image keeps a tag, so no space is freed.", "每個映像仍有標籤，不會釋放空間。";
    frees_here(size: &str): "{size} in this repository would no longer be needed.", "此儲存庫內有 {size} 不再需要。";
    frees_exactly(size: &str): "In the whole store {size} would be freed.", "整個儲存後端可釋放 {size}。";
    shared_exactly(size: &str): "Of these, {size} stay, since other repositories use them.", "其中 {size} 因其他儲存庫使用而保留。";
    shared_between(least: &str, most: &str): "Of these, between {least} and {most} stay, since other repositories use them.",
        "其中 {least} 至 {most} 因其他儲存庫使用而保留。";
    untagged_stay(): "Collections here keep images without a tag (gc.untagged), so nothing is freed until that is on.",
        "此處的垃圾回收會保留沒有標籤的映像（gc.untagged），開啟前不會釋放空間。";
    calculate_exactly(): "Calculate exactly, for the whole store", "就整個儲存後端精確計算";
    attached_go(count: u64): "Signatures, SBOMs and the like among them: {count}", "其中簽署、SBOM 等附屬內容：{count}";
    unreadable_stay(count: u64): "Unreadable files, which keep what they may need: {count}", "無法讀取並因此保留相關內容的檔案：{count}";
    tag_gone(tag: &str): "The tag {tag} is no longer there.", "標籤 {tag} 已不存在。";
    too_many_tags(count: usize): "Too many for one deletion, and left as they are: {count}", "超出一次刪除的上限而保留的標籤：{count}";
    type_name(name: &str): "Type the name of the repository: {name}", "請輸入儲存庫名稱：{name}";
    name_differs(name: &str): "The name that was typed is not {name}. Nothing was deleted.", "輸入的名稱並非 {name}，沒有刪除任何內容。";
    repository_changed(name: &str): "{name} has changed since it was shown. Nothing was deleted.", "{name} 在顯示後已有變更，沒有刪除任何內容。";
    cancel(): "Cancel", "取消";
    deleted(): "Deleted", "已刪除";
    tags_deleted(): "These tags are deleted:", "已刪除以下標籤：";
    tags_moved(): "These tags were pushed again or deleted meanwhile. They are as they were:", "以下標籤期間曾被推送或刪除，因此沒有更改：";
    repository_deleted(name: &str): "{name} is empty. The next collection removes it from the list.",
        "{name} 已清空，下次垃圾回收後會從列表消失。";
    repository_not_empty(name: &str): "{name} is not empty: something came meanwhile, and stays.", "{name} 並未清空：期間新增的內容已保留。";
    until_collected(): "The tags can be restored until a collection deletes their images:", "在垃圾回收刪除映像之前，可以還原標籤：";
    removed_tags(): "Removed tags", "已刪除的標籤";
    removed_purpose(): "A tag can be restored until a collection deletes its image.", "在垃圾回收刪除映像之前，可以還原標籤。";
    removals_cut(): "There are so many records that only some of them were read.", "記錄太多，只讀取了其中一部分。";
    nothing_removed(): "No removed tag is on record.", "沒有刪除記錄。";
    removed_at(): "Removed", "刪除時間";
    removed_by(): "By", "操作者";
    restore(): "Restore", "還原";
    tag_exists(tag: &str): "The tag {tag} exists and points elsewhere. It stays as it is.", "標籤 {tag} 已存在並指向其他映像，維持不變。";
    image_collected(): "A collection has deleted the image, or a part of it. Push it again.", "垃圾回收已刪除該映像或其部分內容，請重新推送。";

    // Garbage collection.
    collections(): "Garbage collection", "垃圾回收";
    gc_purpose(): "A collection deletes content that no tag and no image needs. Pushes and pulls continue meanwhile.",
        "垃圾回收會釋放沒有標籤或映像需要的內容所佔空間，期間推送及拉取不受影響。";
    gc_when(): "Schedule", "排程";
    gc_on_request(): "Only on request", "只在要求時";
    gc_every(interval: &str): "Every {interval}", "每 {interval}";
    gc_every_within(interval: &str, window: &str): "Every {interval}, between {window} UTC", "每 {interval}，於 UTC {window} 之間";
    gc_grace(): "Unused content is kept for", "未使用內容保留";
    gc_untagged(): "Images without a tag", "沒有標籤的映像";
    gc_untagged_go(): "are deleted", "會刪除";
    gc_untagged_stay(): "are kept", "會保留";
    gc_now(): "Now", "現況";
    gc_running_since(): "Running since", "進行中，開始於";
    gc_requested(): "About to begin", "即將開始";
    gc_idle(): "None is running", "沒有進行中的回收";
    gc_preview(): "Dry run: what would be deleted?", "試行：會刪除甚麼？";
    gc_run(): "Collect now", "立即回收";
    look_again(): "Look again", "重新查看";
    gc_last(): "The last collections of this process", "此程序最近的回收";
    gc_none_yet(): "None since it started.", "啟動以來未有回收。";
    gc_begun(): "Started", "開始";
    gc_took(): "Duration", "需時";
    gc_freed(): "Freed", "釋放";
    gc_result(): "Result", "結果";
    gc_dry(): "dry run", "試行";
    gc_nothing(): "There was nothing to collect.", "沒有可回收的內容。";
    gc_stopped(): "Stopped", "已停止";
    gc_elsewhere(): "Another process was collecting", "另一程序正在回收";
    gc_failed(): "Failed", "失敗";
    gc_blobs(): "Blobs", "Blob";
    gc_manifests(): "Images", "映像";
    gc_uploads(): "Abandoned uploads", "中斷的上載";
    gc_young(): "Kept, too young", "因太新而保留";
    gc_unreadable(): "Unreadable files", "無法讀取的檔案";
    gc_is_running(): "A collection is already running, or about to begin.", "已有回收進行中或即將開始。";
    gc_read_only(): "The registry is read-only: only dry runs are possible.", "映像倉庫為唯讀，只能試行。";
    gc_shutting_down(): "The registry is shutting down.", "映像倉庫正在關閉。";
    // Verification.
    verification(): "Verification", "驗證";
    verified_last(): "Last verified as a whole", "最近完整驗證";
    verified_never(): "Not completed yet", "尚未完整驗證";
    verified_off(): "This registry does not verify its store by itself. Set verify.enabled to turn that on.",
        "此映像倉庫不會自行驗證儲存後端，可用 verify.enabled 開啟。";
    verified_now(): "Now", "目前進度";
    verified_since(): "since", "開始於";
    verified_numbers(blobs: u64, size: &str, damaged: u64): "blobs and manifests: {blobs}, {size}; damaged or unreadable: {damaged}",
        "Blob 及 manifest：{blobs}，{size}；損壞或無法讀取：{damaged}";
    verified_structure(): "Tags and manifests last read", "最近讀取標籤及 manifest";
    problems_found(): "Problems that this process has found", "此程序發現的問題";
    problems_none(): "None since it started.", "啟動以來沒有發現問題。";
    problem_found_at(): "Found", "發現時間";
    problem(): "Problem", "問題";
    needed_by(): "Images that need it", "需要它的映像";
    needed_by_nothing(): "No image that is known", "沒有已知的映像";

    unit_days(): "d", "日";
    unit_hours(): "h", "小時";
    unit_minutes(): "min", "分鐘";
    unit_seconds(): "s", "秒";

    // Access tokens.
    tokens(): "Access tokens", "存取權杖";
    tokens_purpose(): "A token is a password for a program. It has the rights listed here, and never more than yours.",
        "權杖是供程式使用的密碼，權限以所列範圍為限，亦不會超出你本身的權限。";
    tokens_need_password(): "Only a login by password can see or make tokens.", "只有以密碼登入才可檢視或建立權杖。";
    no_tokens(): "You have no token yet.", "你尚未有權杖。";
    rights(): "Rights", "權限";
    except(): "Except", "除外";
    ends(): "Ends", "到期";
    ended(): "ended", "已到期";
    never(): "never", "永不";
    last_use(): "Last use", "最近使用";
    not_yet(): "not yet", "尚未";
    revoke(): "Revoke", "撤銷";
    revoke_token(name: &str): "Revoke {name}?", "撤銷 {name}？";
    revoke_effect(): "Programs that use the token can no longer log in. This cannot be undone.", "使用此權杖的程式將無法再登入，且不能還原。";
    token_revoked(name: &str): "{name} is revoked. Every registry over this store refuses it within ten seconds.",
        "{name} 已撤銷，此儲存後端的所有映像倉庫會於十秒內拒絕它。";
    token_gone(): "This token no longer exists.", "該權杖已不存在。";
    new_token(): "New token", "新增權杖";
    create(): "Create", "建立";
    secret(): "Secret", "密鑰";
    token_created(name: &str): "The token {name} is ready. Its secret is shown only this once:", "權杖 {name} 已建立，密鑰只顯示這一次：";
    token_name(user: &str): "Name; programs log in as {user}/NAME", "名稱；程式以「{user}/名稱」登入";
    token_may(): "The token may", "權杖可以";
    may_pull(): "pull", "拉取";
    may_push(): "pull and push", "拉取及推送";
    may_delete(): "pull and delete", "拉取及刪除";
    may_all(): "pull, push and delete", "拉取、推送及刪除";
    token_on(): "Repositories, as names or patterns: team/app team/*", "儲存庫名稱或樣式：team/app team/*";
    token_except(): "Except these (optional)", "以下除外（可不填）";
    token_expires(): "Valid for, such as 12h or 90d.", "有效期，例如 12h 或 90d。";
    token_longest(longest: &str): "At most {longest}.", "最長 {longest}。";
    token_note(): "Note (optional)", "備註（可不填）";
    token_name_rule(): "The name and yours have 128 bytes at most, without colons and control characters.",
        "名稱連同你的名稱最多 128 位元組，不可有冒號或控制字元。";
    token_note_rule(): "The note is one line of 128 bytes at most.", "備註只可為一行，最多 128 位元組。";
    token_rights_rule(): "The repositories must be names or patterns such as team/app or team/*.", "儲存庫須為名稱或樣式，例如 team/app 或 team/*。";
    token_expires_rule(): "The time must be a duration such as 12h or 90d, or never.", "有效期須如 12h 或 90d，或 never。";
    token_expires_within(longest: &str): "The time must be a duration such as 12h or 90d, and at most {longest}.",
        "有效期須如 12h 或 90d，最長 {longest}。";
    token_taken(name: &str): "There is a user or token {name} already. Choose another name.", "已有使用者或權杖 {name}，請選擇其他名稱。";
    token_too_many(most: usize): "You have {most} tokens, the most that a user may have. Revoke one first.", "你已有 {most} 個權杖，已達上限，請先撤銷一個。";

    // Errors.
    not_found(): "Page not found", "找不到頁面";
    not_found_or_hidden(): "It does not exist, or you may not see it.", "它不存在，或你無權檢視。";
    forbidden(): "Not allowed", "不允許此操作";
    no_right(): "You do not have the right to do this.", "你沒有執行此操作的權限。";
    forged(): "The form did not come from this page. Go back, load the page again, and send it once more.",
        "表單並非來自本頁。請返回、重新載入頁面，再次傳送。";
    failed(): "The request failed", "請求未能完成";
    busy_with_preview(): "Another preview of a deletion is still being made. Try again in a moment.", "另一項刪除預覽仍在計算，請稍後再試。";
    failed_because(): "The store did not answer as it should. The log has the reason under this request:",
        "儲存後端未有正常回應。原因見記錄，請求編號為：";
    storage_full(): "The store has no space left. Free some space on its disk, or collect garbage.",
        "儲存後端已滿，請騰出磁碟空間或進行垃圾回收。";
    try_again(): "The store is busy or cannot be reached at the moment. Try again in a while.", "儲存後端忙碌或暫時無法連線，請稍後再試。";
    too_large(): "The form is too large", "表單過大";
    too_large_remedy(): "Nothing was changed. Go back, and choose or write less at a time.", "沒有任何更改。請返回，每次選擇或填寫較少內容。";
    too_many_forms(): "Your address sends too many forms at once. Try again in a moment.", "你的地址同時傳送太多表單，請稍後再試。";
    unhealthy(): "A health check of the registry fails, so it takes no requests. Try again in a while.",
        "映像倉庫的健康檢查失敗，暫不接受要求，請稍後再試。";
    wrong_method(): "This page does not take such a request", "此頁面不接受這種請求";
    back_to_repositories(): "Back to the repositories", "返回儲存庫";
    back_to_tags(): "Back to the tags", "返回標籤";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short() {
        for (name, texts) in ALL {
            for text in texts {
                assert!(text.chars().count() <= 120 && !text.is_empty(), "{name}: {text}");
            }
        }
    }

    #[test]
    fn chinese_is_traditional() {
        // Frequent characters that only Simplified Chinese has.
        const SIMPLIFIED: &str = "个们这为来时说国对会学发动经过还没关开问间东长门见车马书电网页选项库标签镜仓删除录户码设语题层级单备复损坏读写载请轻";
        // They are written alike in both.
        const SHARED: &str = "除坏页载";
        for (name, [_, chinese]) in ALL {
            let odd = chinese.chars().find(|it| SIMPLIFIED.contains(*it) && !SHARED.contains(*it));
            assert_eq!(odd, None, "{name}: {chinese}");
        }
    }

    #[test]
    fn both_languages_use_the_same_arguments() {
        let arguments = |text: &str| {
            let mut names: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            names.sort();
            names
        };
        for (name, [english, chinese]) in ALL {
            assert_eq!(arguments(english), arguments(chinese), "{name}");
        }
    }
}
